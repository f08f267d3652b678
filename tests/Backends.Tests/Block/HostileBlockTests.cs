using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Block;

/// <summary>
/// What a hostile front end gets: an error, or a disconnection, and never anything of the host's. The disk under
/// test ends the process when it is touched outside its bounds, so surviving is the point of each test.
/// </summary>
public sealed class HostileBlockTests
{
    private const int DiskBytes = 1 << 20;
    private const ulong Sectors = DiskBytes / 512;

    private readonly FakeDisk _disk = new(DiskBytes);

    [Theory]
    [InlineData(Sectors)]
    [InlineData(Sectors - 7)]
    [InlineData(ulong.MaxValue)]
    [InlineData(ulong.MaxValue / 512)]
    [InlineData(ulong.MaxValue - 7)]
    [InlineData(1UL << 63)]
    public void Sectors_past_the_end_are_refused(ulong sector)
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(1);
        foreach (byte operation in (byte[])[BlkifOp.Read, BlkifOp.Write, BlkifOp.WriteBarrier, BlkifOp.FlushDiskcache])
        {
            Assert.Equal(BlkifResult.Error, front.Do(operation, sector, new Segment(reference, 0, 7)));
        }
        ulong id = front.PutDiscard(sector, 8);
        front.Publish();
        Assert.Equal(BlkifResult.Error, front.Answer(id));
        front.MustBeWell(reference);
    }

    [Theory]
    [InlineData(1UL, ulong.MaxValue)]
    [InlineData(8UL, Sectors)]
    [InlineData(0UL, Sectors + 1)]
    [InlineData(ulong.MaxValue, ulong.MaxValue)]
    public void Discards_that_wrap_around_are_refused(ulong sector, ulong count)
    {
        using BlockFront front = new(_disk);
        ulong id = front.PutDiscard(sector, count);
        front.Publish();
        Assert.Equal(BlkifResult.Error, front.Answer(id));
        front.MustBeWell();
    }

    [Theory]
    [InlineData(0, 8)]
    [InlineData(8, 8)]
    [InlineData(5, 4)]
    [InlineData(255, 255)]
    [InlineData(0, 255)]
    public void Segments_that_leave_their_page_are_refused(byte first, byte last)
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(1);
        Assert.Equal(BlkifResult.Error, front.Do(BlkifOp.Read, 0, new Segment(reference, first, last)));
        ulong id = front.PutIndirect(BlkifOp.Read, 0, [new Segment(reference, 0, 7), new Segment(reference, first, last)]);
        front.Publish();
        Assert.Equal(BlkifResult.Error, front.Answer(id));
        front.MustBeWell(reference);
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(4000u)]
    [InlineData(100_000u)]
    [InlineData(uint.MaxValue)]
    public void Grants_that_are_none_are_refused(uint bad)
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(1);
        Assert.Equal(BlkifResult.Error,
            front.Do(BlkifOp.Write, 0, new Segment(reference, 0, 7), new Segment(bad, 0, 7)));
        ulong id = front.PutIndirect(BlkifOp.Read, 0, [new Segment(reference, 0, 7), new Segment(bad, 0, 7)]);
        front.Publish();
        Assert.Equal(BlkifResult.Error, front.Answer(id));
        Assert.Equal(0, _disk.Writes);
        front.MustBeWell(reference);
    }

    [Fact]
    public void A_page_granted_read_only_is_not_read_into()
    {
        using BlockFront front = new(_disk);
        _disk.Bytes[0] = 77;
        (uint reference, ulong mfn) = front.Page(1, readOnly: true);
        Assert.Equal(BlkifResult.Error, front.Do(BlkifOp.Read, 0, new Segment(reference, 0, 7)));
        Assert.Equal(1, front.Guest.Bytes(mfn)[0]);
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.Write, 8, new Segment(reference, 0, 7)));
        front.MustBeWell(reference);
    }

    [Fact]
    public void A_grant_of_memory_that_the_guest_has_not_is_refused()
    {
        using BlockFront front = new(_disk);
        uint reference = front.Guest.Grant(front.Guest.Frames.RamFrames + 5);
        Assert.Equal(BlkifResult.Error, front.Do(BlkifOp.Read, 0, new Segment(reference, 0, 7)));
        front.MustBeWell(reference);
    }

    [Theory]
    [InlineData(BlkifOp.Read, 0)]
    [InlineData(BlkifOp.Write, 0)]
    [InlineData(BlkifOp.Read, 12)]
    [InlineData(BlkifOp.Write, 255)]
    public void Counts_of_segments_that_cannot_be_are_refused(byte operation, int count)
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(1);
        Segment[] segments = [.. Enumerable.Repeat(new Segment(reference, 0, 7), count)];
        Assert.Equal(BlkifResult.Error, front.Do(operation, 0, segments));
        front.MustBeWell(reference);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(257)]
    [InlineData(65535)]
    public void Counts_of_indirect_segments_that_cannot_be_are_refused(int count)
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(1);
        ulong id = front.PutIndirect(BlkifOp.Write, 0, [new Segment(reference, 0, 7)], count);
        front.Publish();
        Assert.Equal(BlkifResult.Error, front.Answer(id));
        front.MustBeWell(reference);
    }

    [Fact]
    public void Operations_that_do_not_exist_are_refused()
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(1);
        foreach (byte operation in (byte[])[4, 7, 99, 255])
        {
            Assert.Equal(BlkifResult.Eopnotsupp, front.Do(operation, 0, new Segment(reference, 0, 7)));
        }
        foreach (byte operation in (byte[])[BlkifOp.Discard, BlkifOp.Indirect, BlkifOp.FlushDiskcache, 200])
        {
            ulong id = front.PutIndirect(operation, 0, [new Segment(reference, 0, 7)]);
            front.Publish();
            Assert.Equal(BlkifResult.Error, front.Answer(id));
        }
        ulong secure = front.PutDiscard(0, 8, BlkifDiscard.Secure);
        front.Publish();
        Assert.Equal(BlkifResult.Eopnotsupp, front.Answer(secure));
        front.MustBeWell(reference);
    }

    [Theory]
    [InlineData(33u)]
    [InlineData(1u << 31)]
    [InlineData(uint.MaxValue)]
    public void A_producer_that_jumps_loses_the_disk_until_it_begins_anew(uint producer)
    {
        using BlockFront front = new(_disk);
        front.Publish(producer);
        front.Guest.Send(front.Port);
        front.Guest.WaitForBackend(BlockFront.Type, BlockFront.Id, XenbusState.Closing);
        Assert.All(front.Ring.References, r => Assert.True(front.Guest.Revoke(r)));
        front.Guest.SetState(BlockFront.Type, BlockFront.Id, XenbusState.Closed);
        front.Guest.WaitForBackend(BlockFront.Type, BlockFront.Id, XenbusState.Closed);
        front.Guest.SetState(BlockFront.Type, BlockFront.Id, XenbusState.Initialising);
        front.Connect(pages: 1);
        front.MustBeWell();
    }

    [Theory]
    [InlineData("protocol", "arm-abi")]
    [InlineData("multi-queue-num-queues", "0")]
    [InlineData("multi-queue-num-queues", "5")]
    [InlineData("ring-page-order", "5")]
    [InlineData("num-ring-pages", "3")]
    public void Nodes_that_make_no_sense_disconnect(string node, string value)
    {
        using BlockFront front = new(_disk);
        front.Guest.SetState(BlockFront.Type, BlockFront.Id, XenbusState.Initialising);
        front.Guest.WaitForBackend(BlockFront.Type, BlockFront.Id, XenbusState.InitWait);
        front.Guest.WriteFront(BlockFront.Type, BlockFront.Id, node, value);
        front.Guest.SetState(BlockFront.Type, BlockFront.Id, XenbusState.Initialised);
        front.Guest.WaitForBackend(BlockFront.Type, BlockFront.Id, XenbusState.Closing);
        Assert.Single(front.Guest.Log);
    }

    /// <summary>
    /// Random requests, mostly nonsense, from a seed: each is answered once, nothing stays held, and a disk that
    /// only valid writes reached has only their contents.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(20261124)]
    public void Random_requests_are_survived(int seed)
    {
        Random random = new(seed);
        using BlockFront front = new(_disk, pages: 1 << random.Next(3), is32Bit: random.Next(2) == 0);
        uint[] grants = [.. Enumerable.Range(0, 12).Select(i => front.Page((byte)i, readOnly: i % 4 == 0).Reference)];
        uint Reference() => random.Next(10) == 0 ? (uint)random.NextInt64(0, 1L << 32) : grants[random.Next(12)];
        byte Sector() => (byte)(random.Next(12) == 0 ? random.Next(256) : random.Next(8));
        Segment Segment() => new(Reference(), Sector(), Sector());
        ulong Place() => random.Next(8) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(0, (int)Sectors + 8);
        byte Operation() => (byte)(random.Next(10) == 0 ? random.Next(256) : random.Next(7));
        List<ulong> ids = [];
        for (int i = 0; i < 4000; i++)
        {
            Segment[] segments = [.. Enumerable.Range(0, random.Next(14)).Select(_ => Segment())];
            ids.Add(random.Next(4) switch
            {
                0 when random.Next(4) == 0 =>
                    front.PutIndirect(Operation(), Place(), segments, random.Next(300)),
                1 => front.PutDiscard(Place(), Place(), Sector()),
                _ => front.Put(Operation(), Place(), segments),
            });
            if (ids.Count >= front.Ring.Slots || random.Next(3) == 0)
            {
                front.Publish();
                ids.ForEach(id => Assert.InRange(front.Answer(id), BlkifResult.Eopnotsupp, BlkifResult.Okay));
                ids.Clear();
            }
        }
        front.Publish();
        ids.ForEach(id => front.Answer(id));
        front.MustBeWell(grants);
    }
}
