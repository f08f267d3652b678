using Ryokan.Hypervisor.Events;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>event_channel_op (event_channel.h): argument copying; the meaning is in <see cref="EventChannels"/>.</summary>
internal static class EventCalls
{
    public static long EventChannelOp(Vcpu v, ulong command, ulong argument)
    {
        EventChannels events = v.Domain.Events;
        switch (command)
        {
            case Xen.Abi.EventChannelOp.Send:
                return v.TryCopyIn(argument, out EvtchnSend send) ? events.Send(send.Port) : -Errno.EFAULT;
            case Xen.Abi.EventChannelOp.Unmask:
                return v.TryCopyIn(argument, out EvtchnUnmask unmask) ? events.Unmask(unmask.Port) : -Errno.EFAULT;
            case Xen.Abi.EventChannelOp.BindVirq:
                return BindVirq(v, argument);
            case Xen.Abi.EventChannelOp.BindIpi:
                return BindIpi(v, argument);
            case Xen.Abi.EventChannelOp.AllocUnbound:
                return AllocUnbound(v, argument);
            case Xen.Abi.EventChannelOp.BindInterdomain:
                return BindInterdomain(v, argument);
            case Xen.Abi.EventChannelOp.Close:
                return v.TryCopyIn(argument, out EvtchnClose close) ? events.Close(close.Port) : -Errno.EFAULT;
            case Xen.Abi.EventChannelOp.Status:
                return Status(v, argument);
            case Xen.Abi.EventChannelOp.BindVcpu:
                return v.TryCopyIn(argument, out EvtchnBindVcpu bind)
                    ? events.BindVcpu(bind.Port, bind.Vcpu) : -Errno.EFAULT;
            case Xen.Abi.EventChannelOp.Reset:
                return v.TryCopyIn(argument, out EvtchnReset reset) ? events.Reset(reset.Dom) : -Errno.EFAULT;
            case Xen.Abi.EventChannelOp.InitControl:
                return InitControl(v, argument);
            case Xen.Abi.EventChannelOp.ExpandArray:
                return v.TryCopyIn(argument, out EvtchnExpandArray expand)
                    ? events.ExpandArray(expand.ArrayGfn) : -Errno.EFAULT;
            case Xen.Abi.EventChannelOp.SetPriority:
                return v.TryCopyIn(argument, out EvtchnSetPriority priority)
                    ? events.SetPriority(priority.Port, priority.Priority) : -Errno.EFAULT;
            case Xen.Abi.EventChannelOp.BindPirq:
                return -Errno.EINVAL;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long BindVirq(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out EvtchnBindVirq op))
        {
            return -Errno.EFAULT;
        }
        long result = v.Domain.Events.BindVirq(op.Virq, op.Vcpu, out op.Port);
        return Answer(v, argument, in op, result, op.Port);
    }

    private static long BindIpi(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out EvtchnBindIpi op))
        {
            return -Errno.EFAULT;
        }
        long result = v.Domain.Events.BindIpi(op.Vcpu, out op.Port);
        return Answer(v, argument, in op, result, op.Port);
    }

    private static long AllocUnbound(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out EvtchnAllocUnbound op))
        {
            return -Errno.EFAULT;
        }
        long result = v.Domain.Events.AllocUnbound(op.Dom, op.RemoteDom, out op.Port);
        return Answer(v, argument, in op, result, op.Port);
    }

    private static long BindInterdomain(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out EvtchnBindInterdomain op))
        {
            return -Errno.EFAULT;
        }
        long result = v.Domain.Events.BindInterdomain(op.RemoteDom, op.RemotePort, out op.LocalPort);
        return Answer(v, argument, in op, result, op.LocalPort);
    }

    /// <summary>Writes the answer of a successful bind; a port nobody can be told of is closed again.</summary>
    private static long Answer<T>(Vcpu v, ulong argument, in T op, long result, uint port)
        where T : unmanaged
    {
        if (result != 0 || v.TryCopyOut(argument, in op))
        {
            return result;
        }
        v.Domain.Events.Close(port);
        return -Errno.EFAULT;
    }

    private static long Status(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out EvtchnStatus op))
        {
            return -Errno.EFAULT;
        }
        long result = v.Domain.Events.Status(ref op);
        return result != 0 ? result : v.TryCopyOut(argument, in op) ? 0 : -Errno.EFAULT;
    }

    private static long InitControl(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out EvtchnInitControl op))
        {
            return -Errno.EFAULT;
        }
        long result = v.Domain.Events.InitControl(op.Vcpu, op.ControlGfn, op.Offset, out op.LinkBits);
        return result != 0 ? result : v.TryCopyOut(argument, in op) ? 0 : -Errno.EFAULT;
    }
}
