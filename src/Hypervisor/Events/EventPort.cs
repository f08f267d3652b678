using System;
using System.Threading;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events;

/// <summary>
/// What a port is bound to; the numbers are those of EVTCHNOP_status (xen/event_channel.h).
/// </summary>
internal enum PortState : byte
{
    Free = (byte)EventChannelStatus.Closed,
    Unbound = (byte)EventChannelStatus.Unbound,
    Interdomain = (byte)EventChannelStatus.Interdomain,
    Virq = (byte)EventChannelStatus.Virq,
    Ipi = (byte)EventChannelStatus.Ipi,
}

/// <summary>
/// One event channel of the domain. The object of a port lives as long as the table; all of it is read
/// and written under its own lock, which senders hold only for a few instructions.
/// </summary>
internal sealed class EventPort(uint port)
{
    public readonly uint Port = port;
    public readonly Lock Lock = new();

    public PortState State;

    /// <summary>The vCPU that gets the event.</summary>
    public int Vcpu;

    /// <summary>FIFO ABI: 0 (highest) to 15.</summary>
    public int Priority = EventFifo.PriorityDefault;

    /// <summary>FIFO ABI: the queue that the event was last put on.</summary>
    public int LastVcpu, LastPriority = EventFifo.PriorityDefault;

    /// <summary>FIFO ABI: raised while the guest had given no event word for the port yet.</summary>
    public bool PendingWithoutWord;

    public uint Virq;

    /// <summary>Unbound, interdomain: the domain at the other end.</summary>
    public ushort RemoteDomain;

    /// <summary>Interdomain within this domain: the other port, else 0.</summary>
    public uint RemotePort;

    /// <summary>Interdomain with a back end of the monitor: what to do when the guest sends.</summary>
    public Action? Backend;

    /// <summary>Forgets the binding; the queue it was last on stays known.</summary>
    public void Unbind()
    {
        State = PortState.Free;
        Vcpu = 0;
        Priority = EventFifo.PriorityDefault;
        PendingWithoutWord = false;
        Virq = 0;
        RemoteDomain = 0;
        RemotePort = 0;
        Backend = null;
    }
}
