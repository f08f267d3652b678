using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ryokan.Backends.Network.Packets;

/// <summary>The checksum of IP, TCP and UDP (RFC 1071): the ones' complement sum of 16-bit words.</summary>
public static class InternetChecksum
{
    /// <summary>
    /// Sum of big-endian words, not folded; an odd byte at the end counts as if a zero followed.
    /// </summary>
    public static ulong Sum(ReadOnlySpan<byte> bytes)
    {
        // The sum of little-endian words is that of big-endian ones with its bytes swapped (RFC 1071, 2B), so
        // whole machine words can be added.
        ulong even = 0, odd = 0;
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words)
        {
            even += (uint)word;
            odd += word >> 32;
        }
        ulong sum = even + odd;
        ReadOnlySpan<byte> rest = bytes[(words.Length * sizeof(ulong))..];
        for (; rest.Length >= 2; rest = rest[2..])
        {
            sum += BinaryPrimitives.ReadUInt16LittleEndian(rest);
        }
        if (!rest.IsEmpty)
        {
            sum += rest[0];
        }
        return BinaryPrimitives.ReverseEndianness(Fold(sum));
    }

    /// <summary>A sum in 16 bits.</summary>
    public static ushort Fold(ulong sum)
    {
        while (sum >> 16 != 0)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        return (ushort)sum;
    }

    /// <summary>
    /// Sum over the pseudo header of a TCP or UDP packet (RFC 9293 section 3.1, RFC 8200 section 8.1).
    /// </summary>
    /// <param name="frame">holds the IP header</param>
    /// <param name="headers">of the frame; with a transport header</param>
    public static ushort PseudoHeader(ReadOnlySpan<byte> frame, in PacketHeaders headers)
    {
        ReadOnlySpan<byte> addresses = headers.IsIpv4
            ? frame.Slice(headers.NetworkOffset + 12, 8) : frame.Slice(headers.NetworkOffset + 8, 32);
        return Fold(Sum(addresses) + headers.Protocol + (ulong)headers.TransportLength);
    }

    /// <summary>
    /// Makes the checksum of a packet whose field holds the pseudo header's sum, and puts it there.
    /// </summary>
    /// <param name="frame">the whole frame</param>
    /// <param name="start">where the TCP or UDP header starts</param>
    /// <param name="offset">of the field, from there</param>
    /// <param name="length">bytes from there that are summed</param>
    public static void Complete(Span<byte> frame, int start, int offset, int length)
    {
        ushort checksum = (ushort)~Fold(Sum(frame.Slice(start, length)));
        // For UDP zero means "none"; its other form is all ones, which is as good for TCP.
        BinaryPrimitives.WriteUInt16BigEndian(
            frame[(start + offset)..], checksum == 0 ? (ushort)0xffff : checksum);
    }
}
