using System;
using System.Threading;
using Ryokan.Hypervisor.Events;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>sched_op (sched.h): yield, block, poll, shutdown, watchdog.</summary>
internal static class SchedCalls
{
    private const int MaxPollPorts = 128;

    public static long SchedOp(Vcpu v, ulong command, ulong argument)
    {
        switch (command)
        {
            case Xen.Abi.SchedOp.Yield:
                Thread.Yield();
                return 0;
            case Xen.Abi.SchedOp.Block:
                v.UpcallMask = 0;
                v.Block();
                return 0;
            case Xen.Abi.SchedOp.Shutdown:
                return Shutdown(v, argument);
            case Xen.Abi.SchedOp.ShutdownCode:
                // The reason is kept for a later shutdown by other means; there are none here.
                return v.TryCopyIn(argument, out SchedShutdown _) ? 0 : -Errno.EFAULT;
            case Xen.Abi.SchedOp.Poll:
                return Poll(v, argument);
            case Xen.Abi.SchedOp.Watchdog:
                return !v.TryCopyIn(argument, out SchedWatchdog watchdog) ? -Errno.EFAULT
                    : v.Domain.Watchdogs.Set(watchdog.Id, watchdog.Timeout);
            case Xen.Abi.SchedOp.RemoteShutdown or Xen.Abi.SchedOp.PinOverride:
                return -Errno.EPERM;
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>The sched_op of before Xen 3.0.2: yield and block, and shutdown with its reason in place.</summary>
    public static long SchedOpCompat(Vcpu v, ulong command, ulong argument)
    {
        if (command == Xen.Abi.SchedOp.Shutdown)
        {
            v.Domain.ShutDownFrom(v, ReasonOf((uint)argument));
            return 0;
        }
        return command is Xen.Abi.SchedOp.Yield or Xen.Abi.SchedOp.Block ? SchedOp(v, command, 0) : -Errno.ENOSYS;
    }

    private static long Shutdown(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out SchedShutdown shutdown))
        {
            return -Errno.EFAULT;
        }
        v.Domain.ShutDownFrom(v, ReasonOf(shutdown.Reason));
        return 0;
    }

    private static ShutdownReason ReasonOf(uint reason) =>
        reason <= Xen.Abi.ShutdownReason.Max ? (ShutdownReason)reason : ShutdownReason.Crash;

    /// <summary>Waits until one of the ports is pending (also while masked) or the time is over; 0 either way.</summary>
    private static long Poll(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out SchedPoll poll))
        {
            return -Errno.EFAULT;
        }
        if (poll.NrPorts > MaxPollPorts)
        {
            return -Errno.EINVAL;
        }
        Span<uint> ports = stackalloc uint[MaxPollPorts];
        ports = ports[..(int)poll.NrPorts];
        for (int i = 0; i < ports.Length; i++)
        {
            if (!v.TryCopyIn(poll.Ports + (ulong)i * sizeof(uint), out ports[i]))
            {
                return -Errno.EFAULT;
            }
            if (ports[i] == 0 || ports[i] >= EventChannels.MaxPorts)
            {
                return -Errno.EINVAL;
            }
        }
        v.Poll(ports, poll.Timeout);
        return 0;
    }
}
