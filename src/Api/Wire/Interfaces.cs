using System.Collections.Generic;

namespace Ryokan.Api.Wire;

/// <summary>A network interface of a running domain: GET /v1/domains/{domain}/interfaces.</summary>
public sealed record InterfaceInfo
{
    public required int DeviceId { get; init; }
    public required string Mac { get; init; }

    /// <summary>State of the back end (xenbus): 4 is connected.</summary>
    public required int State { get; init; }

    /// <summary>What the guest chose for its (first) rings; null while it has not connected.</summary>
    public uint? EventChannel { get; init; }
    public uint? TxRingReference { get; init; }
    public uint? RxRingReference { get; init; }

    /// <summary>The back end's directory in xenstore.</summary>
    public required string BackendPath { get; init; }

    /// <summary>Tap device of the host, or null.</summary>
    public string? HostInterface { get; init; }

    /// <summary>Bridge that it is on; null: user-mode network.</summary>
    public string? Bridge { get; init; }
    public required IReadOnlyList<string> Addresses { get; init; }

    /// <summary>Frames and bytes that the guest sent; frames that were dropped.</summary>
    public required long SentPackets { get; init; }
    public required long SentBytes { get; init; }
    public required long SentDropped { get; init; }

    /// <summary>Frames and bytes that the guest received; frames that were dropped.</summary>
    public required long ReceivedPackets { get; init; }
    public required long ReceivedBytes { get; init; }
    public required long ReceivedDropped { get; init; }
}
