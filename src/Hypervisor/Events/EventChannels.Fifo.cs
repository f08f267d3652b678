using System;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events;

/// <summary>Switching between the event ABIs.</summary>
public sealed partial class EventChannels
{
    /// <summary>
    /// EVTCHNOP_init_control: gives a vCPU's control block. The first one switches the domain to the FIFO ABI
    /// and carries what is pending over. -ENOENT: no such vCPU; -EINVAL: bad place, or given before;
    /// -ENOSYS: the domain has no FIFO ABI.
    /// </summary>
    public long InitControl(uint vcpu, ulong gfn, uint offset, out byte linkBits)
    {
        linkBits = EventFifo.LinkBits;
        if (!AllowFifo)
        {
            return -Errno.ENOSYS;
        }
        if (vcpu >= (uint)VcpuCount)
        {
            return -Errno.ENOENT;
        }
        lock (_lock)
        {
            if (_fifo != null)
            {
                return _fifo.MapControlBlock((int)vcpu, gfn, offset);
            }
            FifoEvents fifo = new(_frames, VcpuCount);
            long error = fifo.MapControlBlock((int)vcpu, gfn, offset);
            if (error == 0)
            {
                SwitchToFifo(fifo);
            }
            return error;
        }
    }

    private void SwitchToFifo(FifoEvents fifo)
    {
        _fifo = fifo;
        // A sender that still saw the two-level ABI set its bit under the port's lock, which we take after
        // the switch: it is either seen here or uses the event words.
        foreach (EventPort? p in _ports)
        {
            if (p == null)
            {
                continue;
            }
            lock (p.Lock)
            {
                p.PendingWithoutWord |= p.State != PortState.Free && _twoLevel.IsPending(p.Port);
                p.Priority = EventFifo.PriorityDefault;
                p.LastVcpu = 0;
                p.LastPriority = EventFifo.PriorityDefault;
            }
        }
    }

    /// <summary>
    /// EVTCHNOP_expand_array: gives the next page of event words; what became pending before its word was
    /// there is raised now. -EOPNOTSUPP: not in the FIFO ABI; -EINVAL: bad frame; -ENOSPC: enough pages.
    /// </summary>
    public long ExpandArray(ulong gfn)
    {
        lock (_lock)
        {
            if (_fifo is not { } fifo)
            {
                return -Errno.EOPNOTSUPP;
            }
            uint first = fifo.WordCount;
            long error = fifo.AddPage(gfn);
            if (error != 0)
            {
                return error;
            }
            uint end = Math.Min(fifo.WordCount, MaxPorts);
            for (uint port = first; port < end; port++)
            {
                if (_ports[port] is { } p)
                {
                    RaiseLate(p);
                }
            }
            return 0;
        }
    }

    private void RaiseLate(EventPort p)
    {
        int vcpu;
        lock (p.Lock)
        {
            if (!p.PendingWithoutWord)
            {
                return;
            }
            p.PendingWithoutWord = false;
            vcpu = SetPending(p) ? p.Vcpu : -1;
        }
        Told(vcpu, p.Port);
    }

    /// <summary>
    /// EVTCHNOP_set_priority, from the next time the event is raised. -EINVAL: no such port or priority;
    /// -ENOSYS: not in the FIFO ABI.
    /// </summary>
    public long SetPriority(uint port, uint priority)
    {
        if (_fifo == null)
        {
            return -Errno.ENOSYS;
        }
        if (priority > EventFifo.PriorityMin || Port(port) is not { } p)
        {
            return -Errno.EINVAL;
        }
        lock (p.Lock)
        {
            if (p.State == PortState.Free)
            {
                return -Errno.EINVAL;
            }
            p.Priority = (int)priority;
        }
        return 0;
    }

    /// <summary>
    /// EVTCHNOP_reset: closes every port, the monitor's too, and goes back to the two-level ABI.
    /// -ESRCH, -EPERM: not this domain.
    /// </summary>
    public long Reset(ushort dom)
    {
        long error = CheckOwn(dom);
        if (error != 0)
        {
            return error;
        }
        lock (_lock)
        {
            for (uint port = 1; port < MaxPorts; port++)
            {
                Close(port);
            }
            _fifo = null;
            _lowestFree = 1;
        }
        return 0;
    }

    /// <summary>
    /// The monitor's part of a soft reset: <see cref="Reset"/>, and every vcpu_info back in shared_info, so
    /// that a new kernel can register its own. No vCPU may run.
    /// </summary>
    public void SoftReset()
    {
        Reset(Domid.Self);
        VcpuInfo.Reset();
    }
}
