using System;
using System.Collections.Generic;

namespace Ryokan.Api.Guests.Network;

/// <summary>Where a virtual interface leads.</summary>
public enum VifKind
{
    /// <summary>A bridge where there is one and the user may; else user-mode network.</summary>
    Automatic,

    /// <summary>A tap device on a bridge of the host.</summary>
    Bridge,

    /// <summary>User-mode network with address translation, by passt.</summary>
    User,
}

/// <summary>A port of the host that leads into the guest (user-mode network).</summary>
/// <param name="IsUdp">UDP, else TCP</param>
/// <param name="HostAddress">where it is open; null: on all addresses</param>
/// <param name="HostPort">on the host</param>
/// <param name="GuestPort">in the guest</param>
public sealed record HostForward(bool IsUdp, string? HostAddress, int HostPort, int GuestPort);

/// <summary>One virtual network interface of a guest's description (xl-network-configuration(5)).</summary>
public sealed record VifConfig
{
    public const string DefaultBridge = "xenbr0";

    /// <summary>devid; null: the lowest that is free.</summary>
    public int? DeviceId { get; init; }

    /// <summary>
    /// "00:16:3e:xx:xx:xx", lower case; null: made from the guest's UUID and the device id.
    /// </summary>
    public string? Mac { get; init; }
    public VifKind Kind { get; init; }

    /// <summary>Null: <see cref="DefaultBridge"/>.</summary>
    public string? Bridge { get; init; }

    /// <summary>Name of the tap device; null: vifDOMID.DEVID.</summary>
    public string? InterfaceName { get; init; }

    /// <summary>Addresses that the guest is kept to; empty: it is not.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>Bytes that the guest may send in each interval; 0: no limit.</summary>
    public long RateBytes { get; init; }
    public long RateIntervalMicroseconds { get; init; }
    public int? Mtu { get; init; }
    public IReadOnlyList<HostForward> Forwards { get; init; } = [];

    /// <summary>
    /// The address of an interface that has none of its own: Xen's 00:16:3e and 23 bits of a hash, so that it
    /// stays the same as long as the guest's UUID does.
    /// </summary>
    public static string MacFor(Guid uuid, int deviceId)
    {
        Span<byte> input = stackalloc byte[20];
        uuid.TryWriteBytes(input, bigEndian: true, out _);
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(input[16..], deviceId);
        byte[] hash = System.Security.Cryptography.SHA256.HashData(input);
        return FormattableString.Invariant($"00:16:3e:{hash[0] & 0x7f:x2}:{hash[1]:x2}:{hash[2]:x2}");
    }
}
