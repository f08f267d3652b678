using System;
using System.Buffers.Binary;
using System.Net;

namespace Ryokan.Backends.Tests.Network;

/// <summary>Ethernet frames, written from the RFCs.</summary>
internal static class Frames
{
    public static readonly byte[] Guest = [0x00, 0x16, 0x3e, 1, 2, 3];
    public static readonly byte[] Host = [0x02, 0, 0, 0, 0, 9];

    public static byte[] Ethernet(ushort type, ReadOnlySpan<byte> payload, byte[]? to = null, byte[]? from = null) =>
        [.. to ?? Host, .. from ?? Guest, (byte)(type >> 8), (byte)type, .. payload];

    public static byte[] Ipv4(
        byte protocol, ReadOnlySpan<byte> payload, string from = "10.0.0.2", string to = "10.0.0.1", int options = 0)
    {
        byte[] packet = new byte[20 + options + payload.Length];
        packet[0] = (byte)(0x40 | (20 + options) / 4);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[8] = 64;
        packet[9] = protocol;
        IPAddress.Parse(from).GetAddressBytes().CopyTo(packet, 12);
        IPAddress.Parse(to).GetAddressBytes().CopyTo(packet, 16);
        payload.CopyTo(packet.AsSpan(20 + options));
        return packet;
    }

    public static byte[] Ipv6(
        byte next, ReadOnlySpan<byte> payload, string from = "fd00::2", string to = "fd00::1")
    {
        byte[] packet = new byte[40 + payload.Length];
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)payload.Length);
        packet[6] = next;
        packet[7] = 64;
        IPAddress.Parse(from).GetAddressBytes().CopyTo(packet, 8);
        IPAddress.Parse(to).GetAddressBytes().CopyTo(packet, 24);
        payload.CopyTo(packet.AsSpan(40));
        return packet;
    }

    public static byte[] Tcp(int payload, Random random)
    {
        byte[] segment = new byte[20 + payload];
        random.NextBytes(segment);
        segment[12] = 5 << 4;
        segment[16] = segment[17] = 0;
        return segment;
    }

    public static byte[] Udp(int payload, Random random, ushort from = 1000, ushort to = 2000)
    {
        byte[] datagram = new byte[8 + payload];
        random.NextBytes(datagram);
        BinaryPrimitives.WriteUInt16BigEndian(datagram, from);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), to);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)datagram.Length);
        datagram[6] = datagram[7] = 0;
        return datagram;
    }

    public static byte[] Arp(string sender, byte[]? mac = null) =>
    [
        0, 1, 8, 0, 6, 4, 0, 1, .. mac ?? Guest, .. IPAddress.Parse(sender).GetAddressBytes(),
        0, 0, 0, 0, 0, 0, 10, 0, 0, 1,
    ];

    /// <summary>
    /// The sum that a receiver makes over pseudo header and segment, word by word: 0xffff when right.
    /// </summary>
    public static int ReceiverSum(ReadOnlySpan<byte> pseudo, ReadOnlySpan<byte> segment, byte protocol)
    {
        long sum = protocol + segment.Length;
        foreach (int part in (ReadOnlySpan<int>)[0, 1])
        {
            ReadOnlySpan<byte> bytes = part == 0 ? pseudo : segment;
            for (int i = 0; i < bytes.Length; i += 2)
            {
                sum += bytes[i] << 8 | (i + 1 < bytes.Length ? bytes[i + 1] : 0);
            }
        }
        while (sum > 0xffff)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        return (int)sum;
    }
}
