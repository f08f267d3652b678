using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>mmu_update and update_va_mapping (xen.h): single page-table entries.</summary>
internal static class MmuCalls
{
    /// <summary>Bit of a request count: "continued", set by Xen itself when it was preempted; we never are.</summary>
    public const ulong Preempted = 0x80000000;

    private const ulong CommandMask = 3;
    private const ulong EntryMask = 7;
    private const ulong RequestBytes = 16;

    /// <summary>mmu_update(requests, n, done*, domain): stops at the first error; done counts what succeeded.</summary>
    public static long MmuUpdate(Vcpu v, ulong requests, ulong count, ulong doneOut, ulong domain)
    {
        long result = CheckDomain(v, domain);
        uint done = 0;
        uint n = (uint)(count & ~Preempted);
        for (; result == 0 && done < n && !v.StopRequested; requests += RequestBytes)
        {
            if (!v.TryCopyIn(requests, out MmuUpdate request))
            {
                result = -Errno.EFAULT;
                break;
            }
            result = Apply(v, request.Ptr, request.Val);
            done += result == 0 ? 1u : 0;
        }
        return WriteDone(v, doneOut, done, result);
    }

    /// <summary>Stores the count of requests done, where asked for. A failure to do so does not undo anything.</summary>
    public static long WriteDone(Vcpu v, ulong doneOut, uint done, long result)
    {
        if (doneOut != 0 && !v.TryCopyOut(doneOut, done) && result == 0)
        {
            return -Errno.EFAULT;
        }
        return result;
    }

    /// <summary>Low half: whose frames; high half: whose tables, plus one. Both can only be the domain's own.</summary>
    public static long CheckDomain(Vcpu v, ulong domain)
    {
        ushort frames = (ushort)domain;
        ushort tables = (ushort)(domain >> 16);
        bool framesOk = frames == Domid.Self || frames == v.Domain.Id || frames == Domid.Io;
        bool tablesOk = tables == 0 || tables - 1 == v.Domain.Id || tables - 1 == Domid.Self;
        return framesOk && tablesOk ? 0 : frames == 0 ? -Errno.EPERM : -Errno.ESRCH;
    }

    private static long Apply(Vcpu v, ulong pointer, ulong value)
    {
        var command = (uint)(pointer & CommandMask);
        ulong maddr = pointer & ~CommandMask;
        if (command == MmuUpdateCommand.MachphysUpdate)
        {
            return v.Domain.MachineToPhysical.TrySet(maddr >> GuestFrames.PageShift, value) ? 0 : -Errno.EINVAL;
        }
        long index = v.Frames.IndexOf(maddr >> GuestFrames.PageShift);
        if (index < 0 || (maddr & EntryMask) != 0 || v.Frames.Has(index, FrameFlags.Absent))
        {
            return -Errno.EINVAL;
        }
        return WriteEntry(v, index, (int)(maddr & (GuestFrames.PageSize - 1)), value,
            command == MmuUpdateCommand.PtUpdatePreserveAd);
    }

    private static long WriteEntry(Vcpu v, long index, int offset, ulong value, bool preserveAccessedDirty)
    {
        long result = v.Domain.PageTypes.WriteEntry(index, offset, value, preserveAccessedDirty, out bool replaced);
        if (replaced)
        {
            // An upper entry that goes away is followed by the guest's own flush, as on hardware; one that
            // silently names another table is not.
            v.Domain.Engine.FlushTlb(v.Domain.AllVcpus, null);
        }
        return result;
    }

    /// <summary>
    /// update_va_mapping(va, value, flags): writes the L1 entry that maps va in the current kernel tables;
    /// -EINVAL when there is no L1 table. Then flushes as the flags say.
    /// </summary>
    public static long UpdateVaMapping(Vcpu v, ulong va, ulong value, ulong flags)
    {
        if (!TryFindLeaf(v, va, out long index, out int offset))
        {
            return -Errno.EINVAL;
        }
        long result = WriteEntry(v, index, offset, value, false);
        return result != 0 ? result : FlushAfterUpdate(v, va, flags);
    }

    private static long FlushAfterUpdate(Vcpu v, ulong va, ulong flags)
    {
        ulong how = flags & UpdateVaMappingFlags.FlushtypeMask;
        ulong where = flags & ~UpdateVaMappingFlags.FlushtypeMask;
        if (how == UpdateVaMappingFlags.None)
        {
            return 0;
        }
        ulong? page = how == UpdateVaMappingFlags.Invlpg ? va : null;
        if (where == UpdateVaMappingFlags.Local)
        {
            FlushLocal(v, page);
            return 0;
        }
        ulong mask = v.Domain.AllVcpus;
        if (where != UpdateVaMappingFlags.All && !TryReadVcpuMask(v, where, out mask))
        {
            return -Errno.EFAULT;
        }
        Flush(v, mask, page);
        return 0;
    }

    /// <summary>A guest's vCPU bitmap; only the bytes that hold its vCPUs are read.</summary>
    public static bool TryReadVcpuMask(Vcpu v, ulong pointer, out ulong mask)
    {
        bool ok;
        if (v.Domain.VcpuCount <= 8)
        {
            ok = v.TryCopyIn(pointer, out byte low);
            mask = low;
        }
        else
        {
            ok = v.TryCopyIn(pointer, out uint low);
            mask = low;
        }
        mask &= v.Domain.AllVcpus;
        return ok;
    }

    public static void FlushLocal(Vcpu v, ulong? page)
    {
        if (page is { } va)
        {
            v.Cpu.FlushPage(va);
        }
        else
        {
            v.Cpu.FlushTlb();
        }
    }

    /// <summary>Flushes on the vCPUs of the mask; complete on return.</summary>
    public static void Flush(Vcpu v, ulong mask, ulong? page)
    {
        ulong self = 1UL << v.Id;
        if ((mask & self) != 0)
        {
            FlushLocal(v, page);
        }
        if ((mask & ~self) != 0)
        {
            v.Domain.Engine.FlushTlb(mask & ~self, page);
        }
    }

    /// <summary>Walks the kernel root down to the L1 entry of an address.</summary>
    private static bool TryFindLeaf(Vcpu v, ulong va, out long index, out int offset)
    {
        index = v.Frames.IndexOf(v.Cpu.KernelRoot);
        offset = 0;
        if (index < 0 || !PageTableEntry.IsCanonical(va) || Domain.IsHypervisorAddress(va))
        {
            return false;
        }
        for (int level = 4; level > 1; level--)
        {
            int slot = PageTableEntry.Index(va, level) * sizeof(ulong);
            ulong entry = Volatile.Read(ref v.Frames.UInt64At(index, slot));
            index = v.Frames.IndexOf(PageTableEntry.Frame(entry));
            if ((entry & (PageTableEntry.Present | PageTableEntry.PageSize)) != PageTableEntry.Present || index < 0)
            {
                return false;
            }
        }
        offset = PageTableEntry.Index(va, 1) * sizeof(ulong);
        return true;
    }
}
