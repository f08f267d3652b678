using System;
using System.Linq;
using Ryokan.Backends.Network;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Network;

/// <summary>
/// Front ends that break the protocol: they are disconnected or get an error, and nothing else happens.
/// Whatever they do, in the end every frame of theirs is let go.
/// </summary>
public sealed class HostileNetworkTests
{
    private static void MustBeDisconnected(NetFront front, string reason)
    {
        front.Guest.WaitForBackend("vif", 0, XenbusState.Closing);
        lock (front.Guest.Log)
        {
            Assert.Contains(front.Guest.Log, l => l.Contains(reason, StringComparison.Ordinal));
        }
        Assert.True(front.Guest.Revoke(front.Tx.References[0]), "the back end still holds the ring");
    }

    [Fact]
    public void ProducerThatJumps()
    {
        using NetFront front = new();
        front.Connect();
        front.Tx.Publish(5000);
        front.Kick();
        front.Tx.Publish(5000);
        MustBeDisconnected(front, "producer jumped");
    }

    [Theory]
    [InlineData("request-rx-copy=0", "request-rx-copy")]
    [InlineData("tx-ring-ref=999999", "cannot be mapped")]
    [InlineData("rx-ring-ref=3", "cannot be mapped")]
    [InlineData("event-channel-rx=4000", "cannot be bound")]
    [InlineData("event-channel-tx=x", "not a number")]
    [InlineData("multi-queue-num-queues=2", "not a number up to 1")]
    [InlineData("multi-queue-num-queues=0", "0 queues")]
    public void NodesThatMakeNoSense(string node, string reason)
    {
        using NetFront front = new();
        front.Publish(node);
        front.Guest.SetState("vif", 0, XenbusState.Connected);
        MustBeDisconnected(front, reason);
    }

    [Theory]
    [InlineData(NetTxFlags.ExtraInfo, 0, 100, "an extra info is announced and missing")]
    [InlineData(NetTxFlags.MoreData, 0, 100, "more data is announced and missing")]
    [InlineData(0, 4000, 100, "cross the end of a page")]
    public void RequestsThatMakeNoSense(int flags, int offset, int size, string reason)
    {
        using NetFront front = new();
        front.Connect();
        front.Tx.Put(new NetifTxRequest
        {
            Gref = front.Granted(new byte[100]), Flags = (ushort)flags, Offset = (ushort)offset, Size = (ushort)size,
        });
        front.Kick();
        MustBeDisconnected(front, reason);
    }

    [Theory]
    [InlineData(NetifExtraType.Gso, NetifGsoType.Tcpv4, 0, "segments of type")]
    [InlineData(NetifExtraType.Gso, 9, 1400, "segments of type")]
    [InlineData(NetifExtraType.None, 0, 0, "extra info of type 0")]
    [InlineData(77, 0, 0, "extra info of type 77")]
    public void ExtraInfosThatMakeNoSense(byte type, byte gsoType, ushort gsoSize, string reason)
    {
        using NetFront front = new();
        front.Connect();
        front.Send(new byte[100], 0, 4096, new NetifExtraInfo { Type = type, GsoType = gsoType, GsoSize = gsoSize });
        MustBeDisconnected(front, reason);
    }

    [Fact]
    public void EndlessExtraInfosAndPieces()
    {
        using (NetFront front = new())
        {
            front.Connect();
            front.Tx.Put(new NetifTxRequest { Flags = NetTxFlags.ExtraInfo, Size = 100 });
            for (int i = 0; i < 100; i++)
            {
                front.Tx.Put(new NetifExtraInfo { Type = NetifExtraType.Hash, Flags = NetifExtraFlags.More });
            }
            front.Kick();
            MustBeDisconnected(front, "extra info of type 4");
        }
        using (NetFront front = new())
        {
            front.Connect();
            front.Send(new byte[30], 0, piece: 1);
            MustBeDisconnected(front, "more than 20 requests");
        }
    }

    [Fact]
    public void BadGrantsAndSizesGetAnErrorAndTheNextFrameGoes()
    {
        using NetFront front = new();
        front.Connect();
        front.Tx.Put(new NetifTxRequest { Gref = 1 << 30, Size = 100, Id = 1 });
        front.Tx.Put(new NetifTxRequest { Gref = front.Granted(new byte[10]), Size = 13, Id = 2 });
        front.Tx.Put(new NetifTxRequest
        {
            Gref = front.Granted(new byte[100]), Size = 50, Id = 3, Flags = NetTxFlags.MoreData,
        });
        front.Tx.Put(new NetifTxRequest { Gref = front.Granted(new byte[100]), Size = 60, Id = 4 });
        byte[] good = Frames.Ethernet(0x1234, new byte[50]);
        front.Send(good);
        foreach (int id in (int[])[1, 2, 3, 4])
        {
            Assert.Equal((id, NetifResult.Error), front.TxResponse() is var r ? (r.Id, r.Status) : default);
        }
        Assert.Equal(NetifResult.Okay, front.TxResponse().Status);
        Assert.Equal(good, Assert.Single(front.Port.Sent).Frame);
    }

    [Fact]
    public void ReceiveBuffersThatAreNoneAreRefused()
    {
        using NetFront front = new();
        front.Connect();
        front.Rx.Put(new NetifRxRequest { Gref = 1 << 30, Id = 9 });
        front.Rx.Put(new NetifRxRequest { Gref = front.Granted([]), Id = 10 });
        front.Port.Incoming.Enqueue((new byte[60], default));
        front.Port.Incoming.Enqueue((new byte[60], default));
        front.Rx.Publish();
        front.Kick();
        Assert.Equal(NetifResult.Error, front.RxResponse().Status);
        Assert.Equal(NetifResult.Error, front.RxResponse().Status);
        Assert.Equal(2, front.Backend.Counters.ReceivedDropped);
    }

    /// <summary>
    /// Rings full of random requests, some of them good, with indices that sometimes jump: the back end
    /// answers or disconnects, and lets go of everything. A failure is repeated by its seed.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(20261124)]
    public void AnythingInTheRings(int seed)
    {
        Random random = new(seed);
        for (int round = 0; round < 40; round++)
        {
            using NetFront front = new();
            front.Connect(random.Next(3) == 0 ? "feature-sg=0" : "feature-sg=1");
            uint[] grants = [.. Enumerable.Range(0, 8).Select(_ => front.Granted(RandomFrame(random)))];
            for (int burst = 0; burst < 6; burst++)
            {
                for (int i = random.Next(30); i > 0; i--)
                {
                    front.Tx.PutBytes(RandomRequest(random, grants));
                    front.Rx.PutBytes(RandomBytes(random, 8));
                    front.Port.Incoming.Enqueue((RandomBytes(random, random.Next(14, 20000)), default));
                }
                bool jumps = random.Next(10) == 0;
                front.Tx.Publish(jumps ? (uint)random.Next() : null);
                front.Rx.Publish(jumps ? (uint)random.Next() : null);
                front.Kick();
            }
            front.Guest.SetState("vif", 0, XenbusState.Closed);
            front.Guest.WaitForBackend("vif", 0, XenbusState.Closed);
            Assert.True(front.Guest.Revoke(front.Tx.References[0]) && front.Guest.Revoke(front.Rx.References[0]));
            Assert.All(grants, g => Assert.True(front.Guest.Revoke(g)));
        }
    }

    private static byte[] RandomFrame(Random random) =>
        Frames.Ethernet(0x0800, Frames.Ipv4(6, Frames.Tcp(random.Next(1000), random)));

    private static byte[] RandomBytes(Random random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    /// <summary>A request with some fields that make sense and some that do not.</summary>
    private static byte[] RandomRequest(Random random, uint[] grants)
    {
        byte[] request = RandomBytes(random, 12);
        if (random.Next(8) != 0)
        {
            BitConverter.TryWriteBytes(request, grants[random.Next(grants.Length)]);
            BitConverter.TryWriteBytes(request.AsSpan(4), (ushort)random.Next(100));
            BitConverter.TryWriteBytes(request.AsSpan(6), (ushort)random.Next(random.Next(2) == 0 ? 16 : 2));
            BitConverter.TryWriteBytes(request.AsSpan(10), (ushort)random.Next(1200));
        }
        return request;
    }
}
