using System;
using System.Linq;
using System.Net;
using System.Threading.Tasks;
using Ryokan.Backends.Network;
using Ryokan.Backends.Network.Packets;
using Ryokan.Backends.Xenbus;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Network;

/// <summary>The network back end against a front end that keeps to the protocol.</summary>
public sealed class NetworkBackendTests
{
    private readonly Random _random = new(4);

    private byte[] TcpFrame(int payload) => Frames.Ethernet(0x0800, Frames.Ipv4(6, Frames.Tcp(payload, _random)));

    private static (byte[] Frame, PacketInfo Info) NextSent(NetFront front)
    {
        (byte[] Frame, PacketInfo Info) sent = default;
        ModelGuest.WaitFor(() => front.Port.Sent.TryDequeue(out sent), () => "nothing was sent");
        return sent;
    }

    [Fact]
    public void NodesAreThoseThatAToolstackMakes()
    {
        using NetFront front = new(new InterfaceOptions
        {
            Id = 0, Mac = Frames.Guest, Addresses = [IPAddress.Parse("10.0.0.2")], RateBytes = 500,
            RateIntervalMicroseconds = 50000, Nodes = [new("bridge", "xenbr7")],
        }, queues: 3);
        Assert.Equal("00:16:3e:01:02:03", front.Guest.ReadFront("vif", 0, "mac"));
        Assert.Equal("1400", front.Guest.ReadFront("vif", 0, "mtu"));
        Assert.Equal("10.0.0.2", front.Guest.ReadBack("vif", 0, "ip"));
        Assert.Equal("500,50000", front.Guest.ReadBack("vif", 0, "rate"));
        Assert.Equal("xenbr7", front.Guest.ReadBack("vif", 0, "bridge"));
        Assert.Equal("3", front.Guest.ReadBack("vif", 0, "multi-queue-max-queues"));
        Assert.Equal("1", front.Guest.ReadBack("vif", 0, "feature-gso-tcpv6"));
        front.Connect();
        Assert.True(front.Port.Connected is { ChecksumIpv4: true, ChecksumIpv6: true, Gso4: true, Gso6: true });
    }

    [Theory]
    [InlineData(0, 4096)]
    [InlineData(1400, 4096)]
    [InlineData(1400, 100)]
    [InlineData(9000, 4096)]
    [InlineData(65000, 4096)]
    public void FramesArriveWholeFromAnyNumberOfPieces(int payload, int piece)
    {
        using NetFront front = new();
        front.Connect();
        byte[] frame = TcpFrame(payload);
        front.Send(frame, piece: piece);
        (byte[] sent, PacketInfo info) = NextSent(front);
        Assert.Equal(frame, sent);
        Assert.False(info.ChecksumMissing);
        int slots = (frame.Length + piece - 1) / piece;
        for (int i = 0; i < slots; i++)
        {
            NetifTxResponse response = front.TxResponse();
            Assert.Equal((i, NetifResult.Okay), (response.Id, response.Status));
        }
    }

    [Fact]
    public void MissingChecksumAndSegmentsAreHandedOn()
    {
        using NetFront front = new();
        front.Connect();
        front.Send(TcpFrame(30_000), NetTxFlags.CsumBlank | NetTxFlags.DataValidated, 4096,
            new NetifExtraInfo { Type = NetifExtraType.Gso, GsoType = NetifGsoType.Tcpv4, GsoSize = 1448 });
        (byte[] sent, PacketInfo info) = NextSent(front);
        Assert.Equal((NetifGsoType.Tcpv4, 1448), (info.GsoType, info.GsoSize));
        Assert.Equal((34, 16, 54), (info.ChecksumStart, info.ChecksumOffset, info.HeaderLength));
        InternetChecksum.Complete(sent, 34, 16, sent.Length - 34);
        Assert.Equal(0xffff, Frames.ReceiverSum(sent.AsSpan(26, 8), sent.AsSpan(34), 6));
        Assert.Equal(NetifResult.Okay, front.TxResponse().Status);
        Assert.Equal(NetifResult.Null, front.TxResponse().Status);
        Assert.Equal(NetifResult.Okay, front.TxResponse().Status);
    }

    [Fact]
    public void SegmentsOfWhatIsNoTcpAreDropped()
    {
        using NetFront front = new();
        front.Connect();
        NetifExtraInfo six = new() { Type = NetifExtraType.Gso, GsoType = NetifGsoType.Tcpv6, GsoSize = 1448 };
        front.Send(TcpFrame(3000), NetTxFlags.CsumBlank, 4096, six);
        front.Send(Frames.Ethernet(0x0800, Frames.Ipv4(1, new byte[60])), NetTxFlags.CsumBlank);
        front.Send(Frames.Ethernet(0x1234, new byte[60]), NetTxFlags.CsumBlank);
        byte[] last = TcpFrame(1);
        front.Send(last);
        Assert.Equal(last, NextSent(front).Frame);
        Assert.Equal((3, 1), (front.Backend.Counters.SentDropped, front.Backend.Counters.SentPackets));
    }

    [Theory]
    [InlineData(60)]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData(60000)]
    public void ReceivedFramesFillBuffersInOrder(int length)
    {
        using NetFront front = new();
        front.Connect();
        byte[] frame = new byte[length];
        _random.NextBytes(frame);
        for (int i = 0; i < 5; i++)
        {
            front.Port.Incoming.Enqueue((frame, new PacketInfo { ChecksumValid = true }));
        }
        // Fewer than the first frame takes: it waits, nothing is cut off.
        int slots = (length + 4095) / 4096;
        front.Offer(slots * 5 - 1);
        for (int i = 0; i < 4; i++)
        {
            (byte[] got, int flags, _) = front.Receive();
            Assert.Equal(frame, got);
            Assert.Equal(NetRxFlags.DataValidated, flags & ~NetRxFlags.MoreData);
        }
        System.Threading.Thread.Sleep(50);
        Assert.False(front.Rx.TryTake(out NetifRxResponse _));
        front.Offer(1);
        Assert.Equal(frame, front.Receive().Frame);
    }

    [Fact]
    public void ReceivedSegmentsCarryTheirExtraInfo()
    {
        using NetFront front = new();
        front.Connect();
        byte[] frame = TcpFrame(20_000);
        front.Port.Incoming.Enqueue((frame, new PacketInfo
        {
            ChecksumMissing = true, ChecksumStart = 34, ChecksumOffset = 16, GsoType = NetifGsoType.Tcpv4, GsoSize = 1400,
        }));
        front.Offer(30);
        (byte[] got, int flags, NetifExtraInfo extra) = front.Receive();
        Assert.Equal(frame, got);
        Assert.Equal(
            NetRxFlags.CsumBlank | NetRxFlags.DataValidated | NetRxFlags.ExtraInfo | NetRxFlags.MoreData, flags);
        Assert.Equal((NetifExtraType.Gso, NetifGsoType.Tcpv4, 1400), (extra.Type, extra.GsoType, extra.GsoSize));
    }

    [Fact]
    public void WhatTheFrontEndCannotDoIsDoneForIt()
    {
        using NetFront front = new();
        front.Connect("feature-no-csum-offload=1", "feature-sg=0");
        Assert.True(front.Port.Connected is { ChecksumIpv4: false, Gso4: false });
        byte[] frame = TcpFrame(500);
        Assert.True(PacketHeaders.TryParse(frame, out PacketHeaders headers));
        ushort pseudo = InternetChecksum.PseudoHeader(frame, headers);
        (frame[50], frame[51]) = ((byte)(pseudo >> 8), (byte)pseudo);
        PacketInfo blank = new() { ChecksumMissing = true, ChecksumStart = 34, ChecksumOffset = 16 };
        front.Port.Incoming.Enqueue((new byte[5000], default));
        front.Port.Incoming.Enqueue((frame, blank with { GsoType = NetifGsoType.Tcpv4, GsoSize = 100 }));
        front.Port.Incoming.Enqueue((frame, blank));
        front.Offer(20);
        (byte[] got, int flags, _) = front.Receive();
        Assert.Equal(NetRxFlags.DataValidated, flags);
        Assert.Equal(0xffff, Frames.ReceiverSum(got.AsSpan(26, 8), got.AsSpan(34), 6));
        Assert.Equal(2, front.Backend.Counters.ReceivedDropped);
    }

    [Fact]
    public void AddressesRateAndMulticastAreKept()
    {
        using NetFront front = new(new InterfaceOptions
        {
            Id = 0, Mac = Frames.Guest, Addresses = [IPAddress.Parse("10.0.0.2")],
            RateBytes = 1000, RateIntervalMicroseconds = 100_000,
        });
        front.Connect("request-multicast-control=1");
        front.Send(Frames.Ethernet(0x0800, Frames.Ipv4(17, Frames.Udp(10, _random), from: "10.0.0.9")));
        byte[] frame = TcpFrame(1000);
        System.Diagnostics.Stopwatch watch = System.Diagnostics.Stopwatch.StartNew();
        for (int i = 0; i < 5; i++)
        {
            front.Send(frame);
            Assert.Equal(frame, NextSent(front).Frame);
        }
        Assert.InRange(watch.ElapsedMilliseconds, 300, 10_000);

        byte[] group = [0x01, 0, 0x5e, 0, 0, 7];
        front.Tx.Put(new NetifTxRequest { Id = 77, Flags = NetTxFlags.ExtraInfo });
        NetifExtraInfo add = new() { Type = NetifExtraType.McastAdd };
        group.CopyTo((Span<byte>)add.McastAddr);
        front.Tx.Put(add);
        front.Kick();
        for (int i = 0; i < 6; i++)
        {
            front.TxResponse();
        }
        Assert.Equal((77, NetifResult.Okay), front.TxResponse() is var r ? (r.Id, r.Status) : default);
        front.Port.Incoming.Enqueue((Frames.Ethernet(0x1234, [1], [0x01, 0, 0x5e, 0, 0, 8]), default));
        front.Port.Incoming.Enqueue((Frames.Ethernet(0x1234, [2], group), default));
        front.Offer(3);
        Assert.Equal(2, front.Receive().Frame[14]);
    }

    [Fact]
    public async Task TheGuestMayComeBackAndTheDeviceMayGo()
    {
        using NetFront front = new();
        for (int round = 0; round < 3; round++)
        {
            front.Connect();
            front.Send(TcpFrame(10));
            NextSent(front);
            front.Guest.SetState("vif", 0, XenbusState.Closing);
            front.Guest.WaitForBackend("vif", 0, XenbusState.Closing);
            front.Guest.SetState("vif", 0, XenbusState.Closed);
            front.Guest.WaitForBackend("vif", 0, XenbusState.Closed);
            Assert.Null(front.Port.Connected);
            Assert.True(front.Guest.Revoke(front.Tx.References[0]));
            front.Guest.SetState("vif", 0, XenbusState.Initialising);
            front.Guest.WaitForBackend("vif", 0, XenbusState.InitWait);
        }
        Assert.Equal(RemovalOutcome.Removed,
            await front.Guest.Bus.Remove("vif", 0, force: true, TimeSpan.FromSeconds(5)));
        Assert.True(front.Port.IsDisposed);
    }
}
