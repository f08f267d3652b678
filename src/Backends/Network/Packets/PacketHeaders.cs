using System;
using System.Buffers.Binary;

namespace Ryokan.Backends.Network.Packets;

/// <summary>
/// Where the headers of an Ethernet frame are (IEEE 802.3 and 802.1Q; RFC 791, 8200, 9293, 768). Positions
/// are bytes from the frame's start. The bytes are the guest's: nothing in them is believed beyond the span.
/// </summary>
public readonly struct PacketHeaders
{
    public const int EthernetBytes = 14, AddressBytes = 6;
    public const ushort EtherTypeIpv4 = 0x0800, EtherTypeArp = 0x0806, EtherTypeIpv6 = 0x86dd;
    public const byte ProtocolTcp = 6, ProtocolUdp = 17, ProtocolIcmpv6 = 58;

    private const ushort EtherTypeVlan = 0x8100, EtherTypeServiceVlan = 0x88a8;
    private const int MaxVlanTags = 2, TagBytes = 4;
    private const int Ipv4Bytes = 20, Ipv6Bytes = 40, TcpBytes = 20, UdpBytes = 8;

    /// <summary>Extension headers that are walked over; more are taken for no transport header.</summary>
    private const int MaxExtensions = 8;

    /// <summary>After any VLAN tags.</summary>
    public ushort EtherType { get; private init; }

    public bool IsTagged { get; private init; }

    /// <summary>Where the network header starts.</summary>
    public int NetworkOffset { get; private init; }

    /// <summary>IP protocol number, when <see cref="TransportOffset"/> is set.</summary>
    public byte Protocol { get; private init; }

    /// <summary>Where the TCP or UDP (or other) header starts; 0: there is none to be seen.</summary>
    public int TransportOffset { get; private init; }

    /// <summary>Bytes of transport header and payload, as the IP header says; at most 65535.</summary>
    public int TransportLength { get; private init; }

    /// <summary>Bytes of all headers of a whole TCP or UDP packet; 0 for others.</summary>
    public int HeaderLength { get; private init; }

    public bool IsIpv4 => EtherType == EtherTypeIpv4;

    public bool IsIpv6 => EtherType == EtherTypeIpv6;

    /// <summary>
    /// Looks at the first bytes of a frame; false when not even the Ethernet header is whole.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> frame, out PacketHeaders headers)
    {
        headers = default;
        if (frame.Length < EthernetBytes)
        {
            return false;
        }
        int at = EthernetBytes;
        ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame[(at - 2)..]);
        for (int tags = 0; tags < MaxVlanTags && type is EtherTypeVlan or EtherTypeServiceVlan; tags++)
        {
            if (frame.Length < at + TagBytes)
            {
                return false;
            }
            at += TagBytes;
            type = BinaryPrimitives.ReadUInt16BigEndian(frame[(at - 2)..]);
        }
        PacketHeaders link = new() { EtherType = type, IsTagged = at > EthernetBytes, NetworkOffset = at };
        headers = type switch
        {
            EtherTypeIpv4 => ParseIpv4(frame, link),
            EtherTypeIpv6 => ParseIpv6(frame, link),
            _ => link,
        };
        return true;
    }

    private static PacketHeaders ParseIpv4(ReadOnlySpan<byte> frame, PacketHeaders link)
    {
        ReadOnlySpan<byte> ip = frame[link.NetworkOffset..];
        if (ip.Length < Ipv4Bytes || ip[0] >> 4 != 4)
        {
            return link;
        }
        int headerBytes = (ip[0] & 0xf) * 4;
        int total = BinaryPrimitives.ReadUInt16BigEndian(ip[2..]);
        bool fragment = (BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & 0x3fff) != 0;
        if (headerBytes < Ipv4Bytes || fragment || ip.Length < headerBytes || total < headerBytes)
        {
            return link;
        }
        return WithTransport(frame, link, ip[9], link.NetworkOffset + headerBytes, total - headerBytes);
    }

    private static PacketHeaders ParseIpv6(ReadOnlySpan<byte> frame, PacketHeaders link)
    {
        const byte hopByHop = 0, routing = 43, destination = 60;
        ReadOnlySpan<byte> ip = frame[link.NetworkOffset..];
        if (ip.Length < Ipv6Bytes || ip[0] >> 4 != 6)
        {
            return link;
        }
        int left = BinaryPrimitives.ReadUInt16BigEndian(ip[4..]);
        byte next = ip[6];
        int at = link.NetworkOffset + Ipv6Bytes;
        for (int i = 0; i < MaxExtensions && next is hopByHop or routing or destination; i++)
        {
            if (frame.Length < at + 8)
            {
                return link;
            }
            int bytes = (frame[at + 1] + 1) * 8;
            next = frame[at];
            at += bytes;
            left -= bytes;
        }
        return left < 0 || at > frame.Length ? link : WithTransport(frame, link, next, at, left);
    }

    private static PacketHeaders WithTransport(
        ReadOnlySpan<byte> frame, PacketHeaders link, byte protocol, int at, int length)
    {
        int headerBytes = protocol switch
        {
            ProtocolTcp when frame.Length >= at + TcpBytes && length >= TcpBytes => (frame[at + 12] >> 4) * 4,
            ProtocolUdp when frame.Length >= at + UdpBytes && length >= UdpBytes => UdpBytes,
            _ => 0,
        };
        bool whole = headerBytes <= length && (protocol != ProtocolTcp || headerBytes >= TcpBytes);
        return new PacketHeaders
        {
            EtherType = link.EtherType,
            IsTagged = link.IsTagged,
            NetworkOffset = link.NetworkOffset,
            Protocol = protocol,
            TransportOffset = at,
            TransportLength = length,
            HeaderLength = headerBytes > 0 && whole ? at + headerBytes : 0,
        };
    }

    /// <summary>Where the checksum field of a TCP or UDP header is.</summary>
    public int ChecksumOffset => Protocol == ProtocolTcp ? 16 : 6;
}
