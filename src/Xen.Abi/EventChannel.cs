using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Argument of EVTCHNOP_alloc_unbound (event_channel.h).</summary>
[CName("struct evtchn_alloc_unbound")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnAllocUnbound
{
    public ushort Dom;
    public ushort RemoteDom;
    public uint Port;
}

/// <summary>Argument of EVTCHNOP_bind_interdomain (event_channel.h).</summary>
[CName("struct evtchn_bind_interdomain")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnBindInterdomain
{
    public ushort RemoteDom;
    public uint RemotePort;
    public uint LocalPort;
}

/// <summary>Argument of EVTCHNOP_bind_virq (event_channel.h).</summary>
[CName("struct evtchn_bind_virq")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnBindVirq
{
    /// <summary><see cref="Abi.Virq"/>.</summary>
    public uint Virq;
    public uint Vcpu;
    public uint Port;
}

/// <summary>Argument of EVTCHNOP_bind_pirq (event_channel.h).</summary>
[CName("struct evtchn_bind_pirq")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnBindPirq
{
    public uint Pirq;
    public uint Flags;
    public uint Port;
}

/// <summary>Argument of EVTCHNOP_bind_ipi (event_channel.h).</summary>
[CName("struct evtchn_bind_ipi")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnBindIpi
{
    public uint Vcpu;
    public uint Port;
}

/// <summary>Argument of EVTCHNOP_close (event_channel.h).</summary>
[CName("struct evtchn_close")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnClose
{
    public uint Port;
}

/// <summary>Argument of EVTCHNOP_send (event_channel.h).</summary>
[CName("struct evtchn_send")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnSend
{
    public uint Port;
}

/// <summary>
/// Argument of EVTCHNOP_status; the union follows <see cref="Status"/> (event_channel.h).
/// </summary>
[CName("struct evtchn_status")]
[StructLayout(LayoutKind.Explicit, Size = 24)]
public struct EvtchnStatus
{
    [FieldOffset(0)] public ushort Dom;
    [FieldOffset(4)] public uint Port;
    [FieldOffset(8)] public uint Status;
    [FieldOffset(12)] public uint Vcpu;
    [FieldOffset(16)] [CName("u.unbound.dom")] public ushort UnboundDom;
    [FieldOffset(16)] [CName("u.interdomain.dom")] public ushort InterdomainDom;
    [FieldOffset(20)] [CName("u.interdomain.port")] public uint InterdomainPort;
    [FieldOffset(16)] [CName("u.pirq")] public uint Pirq;
    [FieldOffset(16)] [CName("u.virq")] public uint Virq;
}

/// <summary>Argument of EVTCHNOP_bind_vcpu (event_channel.h).</summary>
[CName("struct evtchn_bind_vcpu")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnBindVcpu
{
    public uint Port;
    public uint Vcpu;
}

/// <summary>Argument of EVTCHNOP_unmask (event_channel.h).</summary>
[CName("struct evtchn_unmask")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnUnmask
{
    public uint Port;
}

/// <summary>Argument of EVTCHNOP_reset (event_channel.h).</summary>
[CName("struct evtchn_reset")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnReset
{
    public ushort Dom;
}

/// <summary>Argument of EVTCHNOP_init_control (event_channel.h).</summary>
[CName("struct evtchn_init_control")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnInitControl
{
    public ulong ControlGfn;
    public uint Offset;
    public uint Vcpu;
    public byte LinkBits;
    private byte _pad0;
    private ushort _pad1;
    private uint _pad2;
}

/// <summary>Argument of EVTCHNOP_expand_array (event_channel.h).</summary>
[CName("struct evtchn_expand_array")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnExpandArray
{
    public ulong ArrayGfn;
}

/// <summary>Argument of EVTCHNOP_set_priority (event_channel.h).</summary>
[CName("struct evtchn_set_priority")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnSetPriority
{
    public uint Port;
    public uint Priority;
}

/// <summary>Head of each event queue of a vCPU, in a guest page (event_channel.h).</summary>
[CName("struct evtchn_fifo_control_block")]
[StructLayout(LayoutKind.Sequential)]
public struct EvtchnFifoControlBlock
{
    /// <summary>Bit n: queue n has events.</summary>
    public uint Ready;
    private uint _reserved;
    public Array16<uint> Head;
}

/// <summary>First argument of event_channel_op (event_channel.h).</summary>
public static class EventChannelOp
{
    [CName("EVTCHNOP_bind_interdomain")] public const uint BindInterdomain = 0;
    [CName("EVTCHNOP_bind_virq")] public const uint BindVirq = 1;
    [CName("EVTCHNOP_bind_pirq")] public const uint BindPirq = 2;
    [CName("EVTCHNOP_close")] public const uint Close = 3;
    [CName("EVTCHNOP_send")] public const uint Send = 4;
    [CName("EVTCHNOP_status")] public const uint Status = 5;
    [CName("EVTCHNOP_alloc_unbound")] public const uint AllocUnbound = 6;
    [CName("EVTCHNOP_bind_ipi")] public const uint BindIpi = 7;
    [CName("EVTCHNOP_bind_vcpu")] public const uint BindVcpu = 8;
    [CName("EVTCHNOP_unmask")] public const uint Unmask = 9;
    [CName("EVTCHNOP_reset")] public const uint Reset = 10;
    [CName("EVTCHNOP_init_control")] public const uint InitControl = 11;
    [CName("EVTCHNOP_expand_array")] public const uint ExpandArray = 12;
    [CName("EVTCHNOP_set_priority")] public const uint SetPriority = 13;
}

/// <summary>Values of <see cref="EvtchnStatus.Status"/> (event_channel.h).</summary>
public static class EventChannelStatus
{
    [CName("EVTCHNSTAT_closed")] public const uint Closed = 0;
    [CName("EVTCHNSTAT_unbound")] public const uint Unbound = 1;
    [CName("EVTCHNSTAT_interdomain")] public const uint Interdomain = 2;
    [CName("EVTCHNSTAT_pirq")] public const uint Pirq = 3;
    [CName("EVTCHNSTAT_virq")] public const uint Virq = 4;
    [CName("EVTCHNSTAT_ipi")] public const uint Ipi = 5;
}

/// <summary>
/// The FIFO event ABI: bit numbers of an event word, priorities, limits (event_channel.h,
/// EVTCHN_FIFO_*).
/// </summary>
public static class EventFifo
{
    [CName("EVTCHN_FIFO_PRIORITY_MAX")] public const int PriorityMax = 0;
    [CName("EVTCHN_FIFO_PRIORITY_DEFAULT")] public const int PriorityDefault = 7;
    [CName("EVTCHN_FIFO_PRIORITY_MIN")] public const int PriorityMin = 15;
    [CName("EVTCHN_FIFO_MAX_QUEUES")] public const int MaxQueues = 16;
    [CName("EVTCHN_FIFO_LINK_BITS")] public const int LinkBits = 17;
    [CName("EVTCHN_FIFO_BUSY")] public const int Busy = 28;
    [CName("EVTCHN_FIFO_LINKED")] public const int Linked = 29;
    [CName("EVTCHN_FIFO_MASKED")] public const int Masked = 30;
    [CName("EVTCHN_FIFO_PENDING")] public const int Pending = 31;
    [CName("EVTCHN_FIFO_LINK_MASK")] public const int LinkMask = 131071;
    [CName("EVTCHN_FIFO_NR_CHANNELS")] public const int NrChannels = 131072;
}

/// <summary>The two-level event ABI (event_channel.h, EVTCHN_2L_*).</summary>
public static class EventTwoLevel
{
    [CName("EVTCHN_2L_NR_CHANNELS")] public const int NrChannels = 4096;
}
