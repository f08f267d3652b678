using System;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Memory;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>What a vCPU's kernel registers about itself: traps, callbacks, stacks, segments, assists.</summary>
internal static class TrapCalls
{
    private const ulong TrapInfoBytes = 16;

    /// <summary>Longest list that is read: each vector twice over. A longer one is no trap table.</summary>
    private const int MaxTrapList = 512;

    /// <summary>vm_assist types that mean something to a 64-bit PV guest.</summary>
    private const ulong KnownAssists =
        1UL << VmAssistType.FourGbSegments | 1UL << VmAssistType.FourGbSegmentsNotify
        | 1UL << VmAssistType.WritablePagetables | 1UL << VmAssistType.PaeExtendedCr3
        | 1UL << VmAssistType.RunstateUpdateFlag | 1UL << VmAssistType.M2pStrict;

    public static long SetTrapTable(Vcpu v, ulong list)
    {
        if (list == 0)
        {
            Array.Clear(v.Traps);
            return 0;
        }
        for (int i = 0; i < MaxTrapList; i++, list += TrapInfoBytes)
        {
            if (!v.TryCopyIn(list, out TrapInfo trap))
            {
                return -Errno.EFAULT;
            }
            if (trap.Address == 0)
            {
                return 0;
            }
            if (!PageTableEntry.IsCanonical(trap.Address))
            {
                return -Errno.EINVAL;
            }
            v.Traps[trap.Vector] = trap;
        }
        return -Errno.EINVAL;
    }

    public static long StackSwitch(Vcpu v, ulong ss, ulong sp)
    {
        v.KernelSs = ss | 3;
        v.KernelSp = sp;
        return 0;
    }

    public static long FpuTaskswitch(Vcpu v, ulong set)
    {
        v.Registers.TaskSwitched = set != 0 ? (byte)1 : (byte)0;
        return 0;
    }

    public static long SetGdt(Vcpu v, ulong list, ulong entries)
    {
        if (entries > Vcpu.MaxGdtEntries)
        {
            return -Errno.EINVAL;
        }
        Span<ulong> frames = stackalloc ulong[Vcpu.MaxGdtFrames];
        frames = frames[..Vcpu.FramesFor((uint)entries)];
        for (int i = 0; i < frames.Length; i++)
        {
            if (!v.TryCopyIn(list + (ulong)i * sizeof(ulong), out frames[i]))
            {
                return -Errno.EFAULT;
            }
        }
        return v.SetGdt(frames, (uint)entries);
    }

    /// <summary>update_descriptor(maddr, value): one slot of a GDT or LDT page, or of ordinary memory.</summary>
    public static long UpdateDescriptor(Vcpu v, ulong maddr, ulong value)
    {
        long index = v.Frames.IndexOf(maddr >> GuestFrames.PageShift);
        if (index < 0 || (maddr & 7) != 0 || !new Descriptor(value).IsAllowed
            || v.Frames.Has(index, FrameFlags.Absent)
            || v.Domain.PageTypes.TypeOf(index) is not (PageType.None or PageType.Descriptors))
        {
            return -Errno.EINVAL;
        }
        int offset = (int)(maddr & (GuestFrames.PageSize - 1));
        Volatile.Write(ref v.Frames.UInt64At(index, offset), new Descriptor(value).Raised.Raw);
        v.Frames.NoteWritten(index, offset, sizeof(ulong));
        return 0;
    }

    public static long SetSegmentBase(Vcpu v, ulong which, ulong value)
    {
        if (which == SegmentBase.GsUserSel)
        {
            return SetUserGsSelector(v, (ushort)value);
        }
        if (!PageTableEntry.IsCanonical(value))
        {
            return -Errno.EINVAL;
        }
        switch (which)
        {
            case SegmentBase.Fs:
                v.Registers.FsBase = value;
                return 0;
            case SegmentBase.GsUser:
                v.OtherGsBase = value;
                return 0;
            case SegmentBase.GsKernel:
                v.Registers.GsBase = value;
                return 0;
            default:
                return -Errno.EINVAL;
        }
    }

    /// <summary>Loads a selector into GS as user mode will see it; a bad one becomes the null selector.</summary>
    private static long SetUserGsSelector(Vcpu v, ushort selector)
    {
        bool valid = (selector & ~3) != 0 && v.TryReadDescriptor(selector, out ulong raw)
            && new Descriptor(raw) is { IsPresent: true, IsCodeOrData: true, Dpl: 3 };
        v.TryReadDescriptor(selector, out ulong descriptor);
        v.Registers.Selectors[(int)SegmentRegister.Gs] = valid ? (ushort)(selector | 3) : (ushort)0;
        v.OtherGsBase = valid ? new Descriptor(descriptor).Base : 0;
        return 0;
    }

    public static long VmAssist(Vcpu v, ulong command, ulong type)
    {
        if (type >= 64 || (KnownAssists >> (int)type & 1) == 0)
        {
            return -Errno.EINVAL;
        }
        switch (command)
        {
            case VmAssistCommand.Enable:
                v.Domain.VmAssist |= 1UL << (int)type;
                return 0;
            case VmAssistCommand.Disable:
                v.Domain.VmAssist &= ~(1UL << (int)type);
                return 0;
            default:
                return -Errno.ENOSYS;
        }
    }

    public static long CallbackOp(Vcpu v, ulong command, ulong argument)
    {
        switch (command)
        {
            case Xen.Abi.CallbackOp.Register:
                return !v.TryCopyIn(argument, out CallbackRegister register) ? -Errno.EFAULT
                    : Register(v, register.Type, new Callback(
                        register.Address, (register.Flags & CallbackFlags.MaskEvents) != 0));
            case Xen.Abi.CallbackOp.Unregister:
                if (!v.TryCopyIn(argument, out CallbackUnregister unregister))
                {
                    return -Errno.EFAULT;
                }
                return unregister.Type is CallbackType.Event or CallbackType.Failsafe or CallbackType.Syscall
                    ? -Errno.EINVAL : Register(v, unregister.Type, default);
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long Register(Vcpu v, ushort type, Callback callback)
    {
        if (!PageTableEntry.IsCanonical(callback.Address))
        {
            return -Errno.EINVAL;
        }
        switch (type)
        {
            case CallbackType.Event:
                v.EventCallback = callback;
                return 0;
            case CallbackType.Failsafe:
                v.FailsafeCallback = callback;
                return 0;
            case CallbackType.Syscall:
                v.SyscallCallback = callback;
                return 0;
            case CallbackType.Nmi:
                v.NmiCallback = callback with { MaskEvents = true };
                return 0;
            case CallbackType.Sysenter or CallbackType.SysenterDeprecated:
                v.SysenterCallback = callback;
                return 0;
            case CallbackType.Syscall32:
                v.Syscall32Callback = callback;
                return 0;
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>The old set_callbacks(event, failsafe, syscall).</summary>
    public static long SetCallbacks(Vcpu v, ulong @event, ulong failsafe, ulong syscall)
    {
        if (!PageTableEntry.IsCanonical(@event) || !PageTableEntry.IsCanonical(failsafe)
            || !PageTableEntry.IsCanonical(syscall))
        {
            return -Errno.EINVAL;
        }
        v.EventCallback = new Callback(@event, true);
        v.FailsafeCallback = new Callback(failsafe, false);
        v.SyscallCallback = new Callback(syscall, false);
        return 0;
    }

    public static long NmiOp(Vcpu v, ulong command, ulong argument)
    {
        switch (command)
        {
            case Xen.Abi.NmiOp.RegisterCallback:
                return !v.TryCopyIn(argument, out XennmiCallback nmi) ? -Errno.EFAULT
                    : Register(v, CallbackType.Nmi, new Callback(nmi.HandlerAddress, true));
            case Xen.Abi.NmiOp.UnregisterCallback:
                return Register(v, CallbackType.Nmi, default);
            default:
                return -Errno.ENOSYS;
        }
    }
}
