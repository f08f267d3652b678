using System.Collections.Generic;
using System.Net;

namespace Ryokan.Backends.Network.Ports;

/// <summary>A port of the host that leads into the guest.</summary>
/// <param name="IsUdp">UDP, else TCP</param>
/// <param name="HostAddress">where it is open; null: on all addresses</param>
/// <param name="HostPort">on the host</param>
/// <param name="GuestPort">in the guest</param>
public sealed record PortForward(bool IsUdp, IPAddress? HostAddress, int HostPort, int GuestPort);

/// <summary>How passt is run for one interface.</summary>
public sealed record PasstOptions
{
    /// <summary>Address that the guest gets by DHCP.</summary>
    public IPAddress Address { get; init; } = IPAddress.Parse("10.0.2.15");

    public int PrefixLength { get; init; } = 24;

    /// <summary>The gateway; connections to it lead to the host's own loopback.</summary>
    public IPAddress Gateway { get; init; } = IPAddress.Parse("10.0.2.2");

    /// <summary>
    /// MTU that the guest is told by DHCP: large, as nothing between it and passt needs a small one.
    /// </summary>
    public int Mtu { get; init; } = 65520;

    public IReadOnlyList<PortForward> Forwards { get; init; } = [];
}
