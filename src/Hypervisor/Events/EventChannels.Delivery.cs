using System;
using System.Numerics;
using System.Threading;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events;

/// <summary>Raising events: the paths that run often.</summary>
public sealed partial class EventChannels
{
    /// <summary>What a poll that waits for any port waits for.</summary>
    private const uint AnyPort = uint.MaxValue;

    /// <summary>
    /// Port that each vCPU polls for; valid where its bit of <see cref="_pollers"/> is set.
    /// </summary>
    private readonly uint[] _pollPorts;

    /// <summary>Bit n: vCPU n is in SCHEDOP_poll.</summary>
    private ulong _pollers;

    /// <summary>
    /// EVTCHNOP_send. A send to an unbound port is lost and succeeds. -EINVAL: no port to send by.
    /// </summary>
    public long Send(uint port)
    {
        if (Port(port) is not { } p)
        {
            return -Errno.EINVAL;
        }
        Action? backend;
        uint peer;
        int vcpu = -1;
        lock (p.Lock)
        {
            if (p.State is PortState.Free or PortState.Virq)
            {
                return -Errno.EINVAL;
            }
            backend = p.Backend;
            peer = p.RemotePort;
            if (p.State == PortState.Ipi)
            {
                vcpu = SetPending(p) ? p.Vcpu : -1;
                peer = p.Port;
            }
        }
        if (backend != null)
        {
            backend();
        }
        else if (peer == port)
        {
            Told(vcpu, port);
        }
        else if (Port(peer) is { } other)
        {
            Deliver(other);
        }
        return 0;
    }

    /// <summary>
    /// Raises an event of the guest from a back end; nothing happens when the guest closed the port.
    /// </summary>
    public void NotifyGuest(uint port)
    {
        if (Port(port) is not { } p)
        {
            return;
        }
        int vcpu;
        lock (p.Lock)
        {
            if (p.Backend == null)
            {
                return;
            }
            vcpu = SetPending(p) ? p.Vcpu : -1;
        }
        Told(vcpu, port);
    }

    /// <summary>
    /// Raises a VIRQ (global ones: vCPU 0); nothing happens while the guest has not bound it.
    /// </summary>
    public void RaiseVirq(int vcpu, uint virq)
    {
        uint port = Volatile.Read(ref _virqPorts[vcpu * (int)Virq.Count + (int)virq]);
        if (port == 0 || Port(port) is not { } p)
        {
            return;
        }
        int to;
        lock (p.Lock)
        {
            if (p.State != PortState.Virq || p.Virq != virq)
            {
                return;
            }
            to = SetPending(p) ? p.Vcpu : -1;
        }
        Told(to, port);
    }

    /// <summary>
    /// EVTCHNOP_unmask: clears the mask and delivers what was pending. -EINVAL: no such port.
    /// </summary>
    public long Unmask(uint port)
    {
        if (Port(port) is not { } p)
        {
            return -Errno.EINVAL;
        }
        int vcpu;
        lock (p.Lock)
        {
            if (p.State == PortState.Free)
            {
                return -Errno.EINVAL;
            }
            vcpu = (_fifo is { } fifo ? fifo.Unmask(p) : _twoLevel.Unmask(p)) ? p.Vcpu : -1;
        }
        Told(vcpu, port);
        return 0;
    }

    /// <summary>
    /// The port's event is pending, masked or not (SCHEDOP_poll). False for a port that is none.
    /// </summary>
    public bool IsPending(uint port) =>
        port < MaxPorts && (_fifo is { } fifo ? fifo.IsPending(port) : _twoLevel.IsPending(port));

    /// <summary>
    /// From now on <see cref="IUpcallSink.Raise"/> also comes when the port (0: any port) becomes pending
    /// while masked. Call it, then look at <see cref="IsPending"/>, then wait.
    /// </summary>
    public void BeginPoll(int vcpu, uint port)
    {
        Volatile.Write(ref _pollPorts[vcpu], port == 0 ? AnyPort : port);
        Interlocked.Or(ref _pollers, 1UL << vcpu);
    }

    public void EndPoll(int vcpu) => Interlocked.And(ref _pollers, ~(1UL << vcpu));

    private void Deliver(EventPort p)
    {
        int vcpu;
        lock (p.Lock)
        {
            if (p.State == PortState.Free)
            {
                return;
            }
            vcpu = SetPending(p) ? p.Vcpu : -1;
        }
        Told(vcpu, p.Port);
    }

    /// <summary>Under the port's lock: true when the port's vCPU has a new reason to look.</summary>
    private bool SetPending(EventPort p) => _fifo is { } fifo ? fifo.SetPending(p) : _twoLevel.SetPending(p);

    private void ClearPending(EventPort p)
    {
        if (_fifo is { } fifo)
        {
            fifo.ClearPending(p);
        }
        else
        {
            _twoLevel.ClearPending(p.Port);
        }
    }

    /// <summary>Outside all locks: tells the vCPU (-1: none) and those that poll the port.</summary>
    private void Told(int vcpu, uint port)
    {
        if (vcpu >= 0 && VcpuInfo.SetUpcallPending(vcpu))
        {
            _sink.Raise(vcpu);
        }
        ulong pollers = Volatile.Read(ref _pollers);
        while (pollers != 0)
        {
            int poller = BitOperations.TrailingZeroCount(pollers);
            pollers &= pollers - 1;
            uint wanted = Volatile.Read(ref _pollPorts[poller]);
            if (wanted == port || wanted == AnyPort)
            {
                _sink.Raise(poller);
            }
        }
    }
}
