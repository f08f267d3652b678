using System;
using System.Collections.Generic;
using System.Threading;

namespace Ryokan.Backends.Network.Packets;

/// <summary>
/// Multicast addresses that a front end wants (feature-multicast-control of io/netif.h). Thread-safe.
/// </summary>
public sealed class MulticastFilter
{
    /// <summary>Addresses that one front end can ask for.</summary>
    public const int MaxAddresses = 64;

    private readonly Lock _lock = new();
    private readonly HashSet<ulong> _addresses = [];

    /// <summary>False when there are too many.</summary>
    public bool Add(ReadOnlySpan<byte> address)
    {
        lock (_lock)
        {
            ulong key = Key(address);
            return _addresses.Contains(key) || (_addresses.Count < MaxAddresses && _addresses.Add(key));
        }
    }

    public void Remove(ReadOnlySpan<byte> address)
    {
        lock (_lock)
        {
            _addresses.Remove(Key(address));
        }
    }

    /// <summary>Whether a frame to that address is wanted: unicast, broadcast, or on the list.</summary>
    public bool Wants(ReadOnlySpan<byte> address)
    {
        const ulong broadcast = 0xffff_ffff_ffff;
        ulong key = Key(address);
        if ((address[0] & 1) == 0 || key == broadcast)
        {
            return true;
        }
        lock (_lock)
        {
            return _addresses.Contains(key);
        }
    }

    private static ulong Key(ReadOnlySpan<byte> address)
    {
        ulong key = 0;
        foreach (byte b in address[..PacketHeaders.AddressBytes])
        {
            key = key << 8 | b;
        }
        return key;
    }
}
