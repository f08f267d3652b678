using System;
using System.Runtime.CompilerServices;
using Ryokan.Hypervisor.Time;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>vcpu_op (vcpu.h) and the old set_timer_op.</summary>
internal static class VcpuCalls
{
    public static long VcpuOp(Vcpu v, ulong command, ulong id, ulong argument)
    {
        if (id >= (ulong)v.Domain.VcpuCount)
        {
            return -Errno.ENOENT;
        }
        Vcpu target = v.Domain.Vcpu((int)id);
        switch (command)
        {
            case Xen.Abi.VcpuOp.SetSingleshotTimer:
                return SetSingleshot(v, target, argument);
            case Xen.Abi.VcpuOp.StopSingleshotTimer:
                if (v != target)
                {
                    return -Errno.EINVAL;
                }
                v.Domain.Time.StopSingleshot(v.Id);
                return 0;
            case Xen.Abi.VcpuOp.StopPeriodicTimer:
                v.Domain.Time.StopPeriodic(target.Id);
                return 0;
            case Xen.Abi.VcpuOp.SetPeriodicTimer:
                return !v.TryCopyIn(argument, out VcpuSetPeriodicTimer periodic) ? -Errno.EFAULT
                    : v.Domain.Time.SetPeriodic(target.Id, periodic.PeriodNs);
            case Xen.Abi.VcpuOp.IsUp:
                return target.IsUp ? 1 : 0;
            case Xen.Abi.VcpuOp.Up:
                return Up(target);
            case Xen.Abi.VcpuOp.Down:
                v.Domain.TakeVcpuDown(v, target);
                return 0;
            case Xen.Abi.VcpuOp.Initialise:
                return Initialise(v, target, argument);
            case Xen.Abi.VcpuOp.SendNmi:
                target.Post(VcpuRequest.Nmi);
                return 0;
            default:
                return Register(v, target, command, argument);
        }
    }

    private static long SetSingleshot(Vcpu v, Vcpu target, ulong argument)
    {
        if (v != target)
        {
            return -Errno.EINVAL;
        }
        if (!v.TryCopyIn(argument, out VcpuSetSingleshotTimer timer))
        {
            return -Errno.EFAULT;
        }
        v.Domain.Time.SetSingleshot(v.Id, timer.TimeoutAbsNs);
        return 0;
    }

    /// <summary>set_timer_op(absolute ns): the vCPU's singleshot timer by another name; 0 stops it.</summary>
    public static long SetTimerOp(Vcpu v, ulong timeout)
    {
        if (timeout == 0)
        {
            v.Domain.Time.StopSingleshot(v.Id);
        }
        else
        {
            v.Domain.Time.SetSingleshot(v.Id, timeout);
        }
        return 0;
    }

    private static long Initialise(Vcpu v, Vcpu target, ulong argument)
    {
        if (!v.TryCopyIn(argument, out VcpuGuestContext context))
        {
            return -Errno.EFAULT;
        }
        // Two vCPUs may try at once.
        lock (target)
        {
            return target.Initialise(in context);
        }
    }

    private static long Up(Vcpu target)
    {
        if (!target.IsInitialised)
        {
            return -Errno.EINVAL;
        }
        target.BringUp();
        return 0;
    }

    private static long Register(Vcpu v, Vcpu target, ulong command, ulong argument)
    {
        switch (command)
        {
            case Xen.Abi.VcpuOp.RegisterVcpuInfo:
                return RegisterVcpuInfo(v, target, argument);
            case Xen.Abi.VcpuOp.RegisterRunstateMemoryArea:
                return !v.TryCopyIn(argument, out ulong runstate) ? -Errno.EFAULT
                    : RegisterArea(v, runstate, Unsafe.SizeOf<VcpuRunstateInfo>(),
                        area => v.Domain.Time.SetRunstateArea(target.Id, area));
            case Xen.Abi.VcpuOp.RegisterVcpuTimeMemoryArea:
                return !v.TryCopyIn(argument, out ulong time) ? -Errno.EFAULT
                    : RegisterArea(v, time, Unsafe.SizeOf<VcpuTimeInfo>(),
                        area => v.Domain.Time.SetTimeArea(target.Id, area));
            case Xen.Abi.VcpuOp.GetRunstateInfo:
                return v.TryCopyOut(argument, v.Domain.Time.GetRunstate(target.Id)) ? 0 : -Errno.EFAULT;
            case Xen.Abi.VcpuOp.GetPhysid:
                return -Errno.EINVAL;
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>
    /// The address is the guest's virtual one; the frames behind it are looked up once, as a guest never
    /// moves such an area without registering it again. 0 takes the registration back.
    /// </summary>
    private static long RegisterArea(Vcpu v, ulong va, int length, Action<GuestArea?> set)
    {
        GuestArea? area = va == 0 ? null : GuestArea.At(v.Frames, va, length,
            at => v.Cpu.TryTranslate(at, true, out ulong maddr, out _) ? maddr : null);
        if (va != 0 && area == null)
        {
            return -Errno.EFAULT;
        }
        set(area);
        return 0;
    }

    /// <summary>-EINVAL: another vCPU that is up, a second time, or no place for one.</summary>
    private static long RegisterVcpuInfo(Vcpu v, Vcpu target, ulong argument)
    {
        if (!v.TryCopyIn(argument, out VcpuRegisterVcpuInfo info))
        {
            return -Errno.EFAULT;
        }
        if ((v != target && target.IsUp) || info.Mfn >= v.Frames.RamFrames)
        {
            return -Errno.EINVAL;
        }
        long result = v.Domain.Events.SetVcpuInfo(target.Id, info.Mfn, (int)Math.Min(info.Offset, int.MaxValue));
        if (result == 0)
        {
            target.SetVcpuInfoLocation(info.Mfn, (int)info.Offset);
        }
        return result;
    }
}
