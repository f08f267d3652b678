using Ryokan.Hypervisor.Diagnostics;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>
/// Hypercall numbers to handlers (xen.h). A plain switch: this is on the path of every page-table update and
/// context switch. Handlers return 0, a positive result, or a negative errno; they never throw for what a
/// guest passes.
/// </summary>
internal static class HypercallTable
{
    /// <summary>Interface versions of Xen 4.17 (domctl.h, sysctl.h, platform.h).</summary>
    private const uint DomctlVersion = 0x15, SysctlVersion = 0x15, PlatformVersion = 0x3000001;

    public static long Invoke(Vcpu v, ulong number, ulong a1, ulong a2, ulong a3, ulong a4, ulong a5)
    {
        switch (number)
        {
            case Hypercall.MmuUpdate:
                return MmuCalls.MmuUpdate(v, a1, a2, a3, a4);
            case Hypercall.Multicall:
                return Multicall(v, a1, a2);
            case Hypercall.UpdateVaMapping:
                return MmuCalls.UpdateVaMapping(v, a1, a2, a3);
            case Hypercall.MmuextOp:
                return MmuExtCalls.MmuextOp(v, a1, a2, a3, a4);
            case Hypercall.StackSwitch:
                return TrapCalls.StackSwitch(v, a1, a2);
            case Hypercall.XenVersion:
                return VersionCalls.XenVersion(v, a1, a2);
            case Hypercall.EventChannelOp:
                return EventCalls.EventChannelOp(v, a1, a2);
            case Hypercall.SchedOp:
                return SchedCalls.SchedOp(v, a1, a2);
            case Hypercall.VcpuOp:
                return VcpuCalls.VcpuOp(v, a1, a2, a3);
            case Hypercall.SetSegmentBase:
                return TrapCalls.SetSegmentBase(v, a1, a2);
            case Hypercall.UpdateDescriptor:
                return TrapCalls.UpdateDescriptor(v, a1, a2);
            case Hypercall.FpuTaskswitch:
                return TrapCalls.FpuTaskswitch(v, a1);
            default:
                return InvokeRare(v, number, a1, a2, a3);
        }
    }

    private static long InvokeRare(Vcpu v, ulong number, ulong a1, ulong a2, ulong a3)
    {
        switch (number)
        {
            case Hypercall.SetTrapTable:
                return TrapCalls.SetTrapTable(v, a1);
            case Hypercall.SetGdt:
                return TrapCalls.SetGdt(v, a1, a2);
            case Hypercall.SetCallbacks:
                return TrapCalls.SetCallbacks(v, a1, a2, a3);
            case Hypercall.CallbackOp:
                return TrapCalls.CallbackOp(v, a1, a2);
            case Hypercall.NmiOp:
                return TrapCalls.NmiOp(v, a1, a2);
            case Hypercall.SetDebugreg:
                return v.SetDebug((uint)a1, a2);
            case Hypercall.GetDebugreg:
                return v.TryGetDebug((uint)a1, out ulong value) ? (long)value : -Errno.EINVAL;
            case Hypercall.MemoryOp:
                return MemoryCalls.MemoryOp(v, a1, a2);
            case Hypercall.SetTimerOp:
                return VcpuCalls.SetTimerOp(v, a1);
            case Hypercall.ConsoleIo:
                return VersionCalls.ConsoleIo(v, a1, a2, a3);
            case Hypercall.GrantTableOp:
                return GrantCalls.GrantTableOp(v, a1, a2, a3);
            case Hypercall.VmAssist:
                return TrapCalls.VmAssist(v, a1, a2);
            case Hypercall.PhysdevOp:
                return PhysdevCalls.PhysdevOp(v, a1, a2);
            case Hypercall.SchedOpCompat:
                return SchedCalls.SchedOpCompat(v, a1, a2);
            case Hypercall.PlatformOp:
                return ControlOp(v, a1, PlatformVersion);
            case Hypercall.Sysctl:
                return ControlOp(v, a1, SysctlVersion);
            case Hypercall.Domctl:
                return ControlOp(v, a1, DomctlVersion);
            case Hypercall.KexecOp:
                return -Errno.EPERM;
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>
    /// The control domain's: a program in the guest may try them through privcmd. Xen looks at the interface version,
    /// the second word of every operation, before it asks who calls.
    /// </summary>
    private static long ControlOp(Vcpu v, ulong operation, uint version)
    {
        if (!v.TryCopyIn(operation, out ulong head))
        {
            return -Errno.EFAULT;
        }
        return head >> 32 == version ? -Errno.EPERM : -Errno.EACCES;
    }

    /// <summary>
    /// multicall(list, n): entries run in order, each result (also an error) goes into its entry; the call
    /// itself fails only when the list cannot be read or written.
    /// </summary>
    private static long Multicall(Vcpu v, ulong list, ulong count)
    {
        const uint resultOffset = 8;
        const ulong entryBytes = 64;
        for (ulong i = 0; i < (uint)count && !v.StopRequested; i++, list += entryBytes)
        {
            if (!v.TryCopyIn(list, out MulticallEntry entry))
            {
                return -Errno.EFAULT;
            }
            // An iret, or a list in a list, has no meaning inside a batch.
            uint trace = v.Trace.Begin(entry.Op, entry.Args[0], entry.Args[1], entry.Args[2], entry.Args[3]);
            long result = entry.Op is Hypercall.Multicall or Hypercall.Iret ? -Errno.EINVAL
                : Invoke(v, entry.Op, entry.Args[0], entry.Args[1], entry.Args[2], entry.Args[3], entry.Args[4]);
            v.Trace.End(trace, result);
            if (!v.TryCopyOut(list + resultOffset, result))
            {
                return -Errno.EFAULT;
            }
        }
        return 0;
    }
}
