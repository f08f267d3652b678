using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;

namespace Ryokan.Backends.Network.Packets;

/// <summary>
/// Keeps a guest to its own addresses (ip= of a vif). What it sends must come from its MAC address and be one
/// of: ARP that speaks for itself, IPv4 from a listed address, a DHCP request, and, when an IPv6 address is
/// listed, IPv6 from that, from its link-local address or from none (RFC 4862). Everything else is dropped,
/// VLAN tags and other protocols too.
/// </summary>
public sealed class SourceFilter
{
    private const int DhcpClientPort = 68, DhcpServerPort = 67;

    private readonly byte[] _mac;
    private readonly HashSet<uint> _ipv4 = [];
    private readonly HashSet<UInt128> _ipv6 = [];

    public SourceFilter(ReadOnlySpan<byte> mac, IEnumerable<IPAddress> addresses)
    {
        _mac = mac.ToArray();
        foreach (IPAddress address in addresses)
        {
            byte[] bytes = address.GetAddressBytes();
            if (address.AddressFamily == AddressFamily.InterNetwork)
            {
                _ipv4.Add(BinaryPrimitives.ReadUInt32BigEndian(bytes));
            }
            else
            {
                _ipv6.Add(BinaryPrimitives.ReadUInt128BigEndian(bytes));
            }
        }
        if (_ipv6.Count > 0)
        {
            _ipv6.Add(0);
            _ipv6.Add(LinkLocal(_mac));
        }
    }

    /// <summary>fe80::/64 and the modified EUI-64 of the MAC address (RFC 4291, appendix A).</summary>
    private static UInt128 LinkLocal(byte[] mac)
    {
        byte[] address =
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, (byte)(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe, .. mac.Skip(3)];
        return BinaryPrimitives.ReadUInt128BigEndian(address);
    }

    /// <summary>Whether a frame may leave the guest.</summary>
    /// <param name="head">the first bytes, all headers among them</param>
    /// <param name="headers">of the frame</param>
    public bool Allows(ReadOnlySpan<byte> head, in PacketHeaders headers)
    {
        ReadOnlySpan<byte> source = head.Slice(PacketHeaders.AddressBytes, PacketHeaders.AddressBytes);
        if (headers.IsTagged || !source.SequenceEqual(_mac))
        {
            return false;
        }
        ReadOnlySpan<byte> network = head[headers.NetworkOffset..];
        return headers.EtherType switch
        {
            PacketHeaders.EtherTypeArp => AllowsArp(network),
            PacketHeaders.EtherTypeIpv4 => AllowsIpv4(head, network, headers),
            PacketHeaders.EtherTypeIpv6 => network.Length >= 40
                && _ipv6.Contains(BinaryPrimitives.ReadUInt128BigEndian(network[8..])),
            _ => false,
        };
    }

    /// <summary>RFC 826: sender's addresses at 8 and 14; a probe has no IP address yet (RFC 5227).</summary>
    private bool AllowsArp(ReadOnlySpan<byte> arp)
    {
        if (arp.Length < 28 || !arp.Slice(8, PacketHeaders.AddressBytes).SequenceEqual(_mac))
        {
            return false;
        }
        uint sender = BinaryPrimitives.ReadUInt32BigEndian(arp[14..]);
        return sender == 0 || _ipv4.Contains(sender);
    }

    private bool AllowsIpv4(ReadOnlySpan<byte> head, ReadOnlySpan<byte> ip, in PacketHeaders headers)
    {
        if (ip.Length < 20)
        {
            return false;
        }
        uint source = BinaryPrimitives.ReadUInt32BigEndian(ip[12..]);
        if (_ipv4.Contains(source))
        {
            return true;
        }
        return source == 0 && headers.Protocol == PacketHeaders.ProtocolUdp && headers.HeaderLength != 0
            && BinaryPrimitives.ReadUInt16BigEndian(head[headers.TransportOffset..]) == DhcpClientPort
            && BinaryPrimitives.ReadUInt16BigEndian(head[(headers.TransportOffset + 2)..]) == DhcpServerPort;
    }
}
