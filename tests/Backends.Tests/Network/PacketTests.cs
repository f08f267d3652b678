using System;
using System.Linq;
using System.Net;
using Ryokan.Backends.Network;
using Ryokan.Backends.Network.Packets;
using Xunit;

namespace Ryokan.Backends.Tests.Network;

/// <summary>Headers, checksums, filters, rate: what is done with the bytes of a frame.</summary>
public sealed class PacketTests
{
    private const byte Tcp = 6, Udp = 17;

    [Fact]
    public void ChecksumsAreWhatAReceiverExpects()
    {
        Random random = new(1);
        for (int round = 0; round < 2000; round++)
        {
            int payload = random.Next(0, round < 1000 ? 40 : 3000);
            bool six = random.Next(2) == 0, udp = random.Next(2) == 0;
            byte protocol = udp ? Udp : Tcp;
            byte[] transport = udp ? Frames.Udp(payload, random) : Frames.Tcp(payload, random);
            byte[] frame = six ? Frames.Ethernet(0x86dd, Frames.Ipv6(protocol, transport))
                : Frames.Ethernet(0x0800, Frames.Ipv4(protocol, transport, options: random.Next(11) * 4));
            Assert.True(PacketHeaders.TryParse(frame, out PacketHeaders headers));
            Assert.Equal(protocol, headers.Protocol);
            Assert.Equal(frame.Length - transport.Length, headers.TransportOffset);
            Assert.Equal(transport.Length, headers.TransportLength);
            Assert.Equal(headers.TransportOffset + (udp ? 8 : 20), headers.HeaderLength);

            int field = headers.TransportOffset + headers.ChecksumOffset;
            ushort pseudo = InternetChecksum.PseudoHeader(frame, headers);
            (frame[field], frame[field + 1]) = ((byte)(pseudo >> 8), (byte)pseudo);
            InternetChecksum.Complete(
                frame, headers.TransportOffset, headers.ChecksumOffset, headers.TransportLength);
            ReadOnlySpan<byte> addresses = six ? frame.AsSpan(14 + 8, 32) : frame.AsSpan(14 + 12, 8);
            Assert.Equal(0xffff, Frames.ReceiverSum(addresses, frame.AsSpan(headers.TransportOffset), protocol));
        }
    }

    /// <summary>Whatever the bytes are, positions stay inside and nothing throws.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(20261124)]
    public void ParsingSurvivesAnyBytes(int seed)
    {
        Random random = new(seed);
        SourceFilter filter = new(Frames.Guest, [IPAddress.Parse("10.0.0.2"), IPAddress.Parse("fd00::2")]);
        for (int round = 0; round < 200_000; round++)
        {
            byte[] frame = Mutated(random);
            if (!PacketHeaders.TryParse(frame, out PacketHeaders headers))
            {
                continue;
            }
            Assert.InRange(headers.HeaderLength, 0, 65535 + 300);
            Assert.InRange(headers.TransportOffset, 0, frame.Length);
            if (headers.HeaderLength != 0)
            {
                Assert.InRange(headers.TransportOffset + headers.ChecksumOffset + 2, 0, frame.Length);
                InternetChecksum.PseudoHeader(frame, headers);
            }
            filter.Allows(frame, headers);
        }
    }

    /// <summary>A frame that makes sense, cut and with some bytes changed.</summary>
    private static byte[] Mutated(Random random)
    {
        byte[] transport = random.Next(2) == 0 ? Frames.Tcp(20, random) : Frames.Udp(20, random);
        byte protocol = transport.Length == 40 ? Tcp : Udp;
        byte[] frame = random.Next(4) switch
        {
            0 => Frames.Ethernet(0x0800, Frames.Ipv4(protocol, transport, options: random.Next(11) * 4)),
            1 => Frames.Ethernet(0x86dd, Frames.Ipv6(protocol, transport)),
            2 => Frames.Ethernet(0x86dd, Frames.Ipv6(0, [protocol, (byte)random.Next(3), .. transport])),
            _ => Frames.Ethernet(0x8100, [0, 1, 8, 0, .. Frames.Ipv4(protocol, transport)]),
        };
        for (int i = random.Next(4); i > 0; i--)
        {
            frame[random.Next(frame.Length)] = (byte)random.Next(256);
        }
        return frame[..random.Next(frame.Length + 1)];
    }

    [Fact]
    public void FragmentsAndTruncatedHeadersHaveNoTransport()
    {
        Random random = new(2);
        byte[] fragment = Frames.Ethernet(0x0800, Frames.Ipv4(Udp, Frames.Udp(9, random)));
        fragment[14 + 6] = 0x20;
        Assert.True(PacketHeaders.TryParse(fragment, out PacketHeaders headers));
        Assert.Equal((0, 0), (headers.TransportOffset, headers.HeaderLength));
        byte[] cut = Frames.Ethernet(0x0800, Frames.Ipv4(Tcp, Frames.Tcp(0, random)))[..40];
        Assert.True(PacketHeaders.TryParse(cut, out headers));
        Assert.Equal(0, headers.HeaderLength);
    }

    [Fact]
    public void FilterKeepsTheGuestToItsAddresses()
    {
        Random random = new(3);
        SourceFilter filter = new(Frames.Guest, [IPAddress.Parse("10.0.0.2")]);
        SourceFilter six = new(Frames.Guest, [IPAddress.Parse("fd00::2")]);
        byte[] udp = Frames.Udp(4, random), dhcp = Frames.Udp(4, random, 68, 67);
        byte[] other = [0x00, 0x16, 0x3e, 9, 9, 9];

        Assert.True(Allows(filter, Frames.Ethernet(0x0800, Frames.Ipv4(Udp, udp))));
        Assert.False(Allows(filter, Frames.Ethernet(0x0800, Frames.Ipv4(Udp, udp), from: other)));
        Assert.False(Allows(filter, Frames.Ethernet(0x0800, Frames.Ipv4(Udp, udp, "10.0.0.3"))));
        Assert.True(Allows(filter, Frames.Ethernet(0x0800, Frames.Ipv4(Udp, dhcp, "0.0.0.0", "255.255.255.255"))));
        Assert.False(Allows(filter, Frames.Ethernet(0x0800, Frames.Ipv4(Udp, udp, "0.0.0.0"))));
        Assert.True(Allows(filter, Frames.Ethernet(0x0806, Frames.Arp("10.0.0.2"))));
        Assert.True(Allows(filter, Frames.Ethernet(0x0806, Frames.Arp("0.0.0.0"))));
        Assert.False(Allows(filter, Frames.Ethernet(0x0806, Frames.Arp("10.0.0.1"))));
        Assert.False(Allows(filter, Frames.Ethernet(0x0806, Frames.Arp("10.0.0.2", other))));
        Assert.False(Allows(filter, Frames.Ethernet(0x86dd, Frames.Ipv6(Udp, udp))));
        Assert.False(Allows(filter, Frames.Ethernet(0x8100, [0, 1, 8, 0, .. Frames.Ipv4(Udp, udp)])));
        Assert.False(Allows(filter, Frames.Ethernet(0x88cc, udp)));

        Assert.True(Allows(six, Frames.Ethernet(0x86dd, Frames.Ipv6(Udp, udp))));
        Assert.True(Allows(six, Frames.Ethernet(0x86dd, Frames.Ipv6(58, udp, "fe80::216:3eff:fe01:203"))));
        Assert.True(Allows(six, Frames.Ethernet(0x86dd, Frames.Ipv6(58, udp, "::"))));
        Assert.False(Allows(six, Frames.Ethernet(0x86dd, Frames.Ipv6(58, udp, "fe80::1"))));
        Assert.False(Allows(six, Frames.Ethernet(0x0800, Frames.Ipv4(Udp, udp))));
    }

    private static bool Allows(SourceFilter filter, byte[] frame) =>
        PacketHeaders.TryParse(frame, out PacketHeaders headers) && filter.Allows(frame, headers);

    [Fact]
    public void RateIsKeptOnAverage()
    {
        long now = 5_000_000_000;
        RateLimit rate = new(10_000, 20_000, () => now);
        long sent = 0, end = now + 1_000_000_000;
        while (now < end)
        {
            if (rate.MaySend(out long at))
            {
                rate.Spend(1500);
                sent += 1500;
            }
            else
            {
                Assert.InRange(at, now + 1, now + 40_000_000);
                now = at;
            }
        }
        // 10,000 bytes every 20 ms are 500,000 in a second.
        Assert.InRange(sent, 490_000, 512_000);
    }

    [Fact]
    public void MulticastFilterIsBounded()
    {
        MulticastFilter filter = new();
        byte[] address = [0x01, 0, 0x5e, 0, 0, 0];
        for (int i = 0; i < MulticastFilter.MaxAddresses; i++)
        {
            address[5] = (byte)i;
            Assert.True(filter.Add(address));
        }
        address[5] = 200;
        Assert.False(filter.Add(address));
        Assert.False(filter.Wants(address));
        Assert.True(filter.Wants([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
        Assert.True(filter.Wants(Frames.Guest));
        address[5] = 1;
        Assert.True(filter.Wants(address));
        filter.Remove(address);
        Assert.False(filter.Wants(address));
    }
}
