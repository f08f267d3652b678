using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;

namespace Ryokan.Backends.Network;

/// <summary>One virtual interface as its owner wants it.</summary>
public sealed record InterfaceOptions
{
    /// <summary>Number in device/vif/ID.</summary>
    public required int Id { get; init; }

    /// <summary>Six bytes.</summary>
    public required IReadOnlyList<byte> Mac { get; init; }

    /// <summary>Addresses that the guest is kept to; empty: it is not.</summary>
    public IReadOnlyList<IPAddress> Addresses { get; init; } = [];

    /// <summary>Bytes that the guest may send in an interval; 0: no limit.</summary>
    public long RateBytes { get; init; }

    public long RateIntervalMicroseconds { get; init; }

    /// <summary>Largest IP packet that the guest is told; null: the port's.</summary>
    public int? Mtu { get; init; }

    /// <summary>
    /// More nodes for the back end's directory: bridge, vifname and the like, for who looks.
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, string>> Nodes { get; init; } = [];

    public string MacText =>
        string.Join(':', Mac.Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));
}
