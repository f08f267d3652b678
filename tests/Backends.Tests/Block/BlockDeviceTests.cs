using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Block;

/// <summary>What a well-behaved front end gets from a disk.</summary>
public sealed class BlockDeviceTests
{
    private const int DiskBytes = 1 << 20;

    private readonly FakeDisk _disk = new(DiskBytes);

    [Fact]
    public void Says_what_it_is_and_what_it_can()
    {
        using BlockFront front = new(_disk);
        string? Node(string name) => front.Guest.ReadBack(BlockFront.Type, BlockFront.Id, name);
        Assert.Equal("2048", Node("sectors"));
        Assert.Equal("512", Node("sector-size"));
        Assert.Equal("0", Node("info"));
        Assert.Equal("1", Node("feature-flush-cache"));
        Assert.Equal("1", Node("feature-barrier"));
        Assert.Equal("1", Node("feature-discard"));
        Assert.Equal("4096", Node("discard-granularity"));
        Assert.Equal("256", Node("feature-max-indirect-segments"));
        Assert.Equal("51712", front.Guest.ReadFront(BlockFront.Type, BlockFront.Id, "virtual-device"));
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(1, true)]
    [InlineData(4, false)]
    [InlineData(16, true)]
    public void Reads_what_was_written_in_odd_pieces(int pages, bool is32Bit)
    {
        using BlockFront front = new(_disk, pages, is32Bit);
        (uint a, ulong aFrame) = front.Page();
        (uint b, ulong bFrame) = front.Page();
        new Random(1).NextBytes(front.Guest.Bytes(aFrame));
        new Random(2).NextBytes(front.Guest.Bytes(bFrame));
        Assert.Equal(BlkifResult.Okay,
            front.Do(BlkifOp.Write, 5, new Segment(a, 3, 3), new Segment(b, 0, 7), new Segment(a, 6, 7)));
        byte[] wanted =
        [
            .. front.Guest.Bytes(aFrame)[1536..2048], .. front.Guest.Bytes(bFrame),
            .. front.Guest.Bytes(aFrame)[3072..],
        ];
        Assert.Equal(wanted, _disk.Bytes[(5 * 512)..(5 * 512 + wanted.Length)]);

        (uint c, ulong cFrame) = front.Page(0xee);
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.Read, 6, new Segment(c, 2, 5)));
        Assert.Equal(wanted[512..2560], front.Guest.Bytes(cFrame)[1024..3072].ToArray());
        Assert.All(front.Guest.Bytes(cFrame)[..1024].ToArray(), x => Assert.Equal(0xee, x));
        front.MustBeWell(a, b, c);
    }

    [Fact]
    public void Read_pages_are_marked_as_written()
    {
        using BlockFront front = new(_disk);
        (uint reference, ulong mfn) = front.Page();
        long index = front.Guest.Frames.IndexOf(mfn);
        front.Guest.Frames.Clear(index, GuestMemory.FrameFlags.Dirty);
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.Write, 0, new Segment(reference, 0, 7)));
        Assert.False(front.Guest.Frames.Has(index, GuestMemory.FrameFlags.Dirty));
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.Read, 0, new Segment(reference, 0, 7)));
        Assert.True(front.Guest.Frames.Has(index, GuestMemory.FrameFlags.Dirty));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    [InlineData(256)]
    public void Indirect_requests_move_a_mebibyte(int segments)
    {
        using BlockFront front = new(_disk);
        (uint Reference, ulong Mfn)[] pages = [.. Enumerable.Range(0, segments).Select(i => front.Page((byte)(i + 1)))];
        Segment[] list = [.. pages.Select(p => new Segment(p.Reference, 0, 7))];
        ulong id = front.PutIndirect(BlkifOp.Write, 0, list);
        front.Publish();
        Assert.Equal(BlkifResult.Okay, front.Answer(id));
        for (int i = 0; i < segments; i++)
        {
            Assert.All(_disk.Bytes[(i * 4096)..(i * 4096 + 4096)], b => Assert.Equal((byte)(i + 1), b));
            front.Guest.Bytes(pages[i].Mfn).Clear();
        }
        id = front.PutIndirect(BlkifOp.Read, 0, list);
        front.Publish();
        Assert.Equal(BlkifResult.Okay, front.Answer(id));
        Assert.All(Enumerable.Range(0, segments),
            i => Assert.Equal((byte)(i + 1), front.Guest.Bytes(pages[i].Mfn)[4095]));
    }

    [Fact]
    public void Neighbouring_requests_are_merged_and_answered_one_by_one()
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(7);
        ulong[] ids = [.. Enumerable.Range(0, 20).Select(
            i => front.Put(BlkifOp.Write, (ulong)i * 8, new Segment(reference, 0, 7)))];
        front.Publish();
        Assert.All(ids, id => Assert.Equal(BlkifResult.Okay, front.Answer(id)));
        Assert.All(_disk.Bytes[..(20 * 4096)], b => Assert.Equal(7, b));
        Assert.Equal(0, _disk.Bytes[20 * 4096]);
        front.MustBeWell(reference);
    }

    [Fact]
    public void One_bad_sector_fails_one_request_of_a_merged_row()
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(7);
        _disk.FailAt = 3 * 4096;
        _disk.FailWith = Errno.EIO;
        ulong[] ids = [.. Enumerable.Range(0, 8).Select(
            i => front.Put(BlkifOp.Write, (ulong)i * 8, new Segment(reference, 0, 7)))];
        front.Publish();
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(i == 3 ? BlkifResult.Error : BlkifResult.Okay, front.Answer(ids[i]));
        }
        Assert.Contains("xvda: fake: cannot do it", front.Guest.Log[0]);
        _disk.FailWith = 0;
        front.MustBeWell(reference);
    }

    [Fact]
    public void A_flush_makes_what_was_answered_before_durable()
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(9);
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.Write, 16, new Segment(reference, 0, 7)));
        Assert.Equal(0, _disk.Durable[16 * 512]);
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.FlushDiskcache, ulong.MaxValue));
        Assert.Equal(9, _disk.Durable[16 * 512]);
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.FlushDiskcache, 32, new Segment(reference, 0, 0)));
        Assert.Equal(9, _disk.Durable[32 * 512]);
    }

    [Fact]
    public void A_barrier_comes_after_what_is_before_it_and_before_what_is_after()
    {
        using BlockFront front = new(_disk);
        (uint one, _) = front.Page(1);
        (uint two, _) = front.Page(2);
        (uint three, _) = front.Page(3);
        _disk.DelayMilliseconds = 2;
        for (int round = 0; round < 10; round++)
        {
            ulong sector = (ulong)round * 8;
            List<ulong> ids = [];
            ids.Add(front.Put(BlkifOp.Write, sector, new Segment(one, 0, 7)));
            ids.Add(front.Put(BlkifOp.WriteBarrier, sector, new Segment(two, 0, 3)));
            ids.Add(front.Put(BlkifOp.Write, sector, new Segment(three, 0, 1)));
            front.Publish();
            Assert.All(ids, id => Assert.Equal(BlkifResult.Okay, front.Answer(id)));
            byte[] seen = [.. Enumerable.Range(0, 8).Select(i => _disk.Bytes[(round * 8 + i) * 512])];
            Assert.Equal([3, 3, 2, 2, 1, 1, 1, 1], seen);
            Assert.Equal(2, _disk.Durable[(round * 8 + 3) * 512]);
        }
    }

    [Fact]
    public void A_slow_host_gets_many_requests_at_once()
    {
        using BlockFront front = new(_disk, pages: 4);
        (uint reference, _) = front.Page(1);
        _disk.DelayMilliseconds = 20;
        ulong[] ids = [.. Enumerable.Range(0, 100).Select(
            i => front.Put(BlkifOp.Read, (ulong)i * 16, new Segment(reference, 0, 7)))];
        long begin = Environment.TickCount64;
        front.Publish();
        Assert.All(ids, id => Assert.Equal(BlkifResult.Okay, front.Answer(id)));
        // One after the other takes 2000.
        Assert.InRange(Environment.TickCount64 - begin, 0, 1500);
        _disk.DelayMilliseconds = 0;
        front.MustBeWell(reference);
    }

    [Fact]
    public void Discard_reaches_the_image()
    {
        using BlockFront front = new(_disk);
        _disk.Bytes.AsSpan().Fill(5);
        ulong id = front.PutDiscard(8, 16);
        front.Publish();
        Assert.Equal(BlkifResult.Okay, front.Answer(id));
        Assert.Equal((5, 0, 0, 5), (_disk.Bytes[4095], _disk.Bytes[4096], _disk.Bytes[12287], _disk.Bytes[12288]));
    }

    [Fact]
    public void Read_only_is_read_only()
    {
        FakeDisk disk = new(DiskBytes) { IsReadOnly = true };
        using BlockFront front = new(disk, readOnly: true);
        (uint reference, _) = front.Page(1);
        Assert.Equal("4", front.Guest.ReadBack(BlockFront.Type, BlockFront.Id, "info"));
        Assert.Null(front.Guest.ReadBack(BlockFront.Type, BlockFront.Id, "feature-discard"));
        Assert.Equal(BlkifResult.Error, front.Do(BlkifOp.Write, 0, new Segment(reference, 0, 7)));
        Assert.Equal(BlkifResult.Error, front.Do(BlkifOp.WriteBarrier, 0, new Segment(reference, 0, 7)));
        Assert.Equal(BlkifResult.Error, front.Do(BlkifOp.FlushDiskcache, 0, new Segment(reference, 0, 7)));
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.FlushDiskcache, 0));
        ulong id = front.PutDiscard(0, 8);
        front.Publish();
        Assert.Equal(BlkifResult.Eopnotsupp, front.Answer(id));
        front.MustBeWell(reference);
    }

    [Fact]
    public void A_full_host_holds_writes_back_and_loses_none()
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(4);
        _disk.FailWith = Errno.ENOSPC;
        ulong first = front.Put(BlkifOp.Write, 0, new Segment(reference, 0, 7));
        ulong second = front.Put(BlkifOp.Write, 80, new Segment(reference, 0, 7));
        front.Publish();
        ModelGuest.WaitFor(() => front.OutOfSpace.Count > 0, () => "nobody was told");
        Assert.False(front.TryAnswer(first, out _) || front.TryAnswer(second, out _));
        // Somebody lets the guest go on too early: told again, still nothing lost.
        front.Space.Retry();
        ModelGuest.WaitFor(() => front.OutOfSpace.Count > 1, () => "nobody was told again");
        Assert.False(front.TryAnswer(first, out _) || front.TryAnswer(second, out _));
        _disk.FailWith = 0;
        front.Space.Retry();
        Assert.Equal((BlkifResult.Okay, BlkifResult.Okay), (front.Answer(first), front.Answer(second)));
        Assert.Equal((4, 4), (_disk.Bytes[0], _disk.Bytes[80 * 512]));
        Assert.StartsWith("xvda: fake: cannot do it", front.OutOfSpace[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_guest_that_ends_while_the_host_is_full_ends()
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page(4);
        _disk.FailWith = Errno.ENOSPC;
        front.Put(BlkifOp.Write, 0, new Segment(reference, 0, 7));
        front.Publish();
        ModelGuest.WaitFor(() => front.OutOfSpace.Count > 0, () => "nobody was told");
        front.Guest.Bus.Dispose();
        Assert.True(front.Guest.Revoke(reference));
        Assert.True(_disk.IsDisposed);
    }

    [Fact]
    public void A_larger_disk_is_told_to_the_guest()
    {
        using BlockFront front = new(_disk);
        (uint reference, _) = front.Page();
        Assert.Equal(BlkifResult.Error, front.Do(BlkifOp.Read, 2048, new Segment(reference, 0, 7)));
        Assert.True(front.Guest.Bus.Update(BlockFront.Type, BlockFront.Id, n => front.Device.Resize(n, 2 * DiskBytes)));
        Assert.Equal("4096", front.Guest.ReadBack(BlockFront.Type, BlockFront.Id, "sectors"));
        Assert.Equal(BlkifResult.Okay, front.Do(BlkifOp.Read, 2048, new Segment(reference, 0, 7)));
    }

    [Fact]
    public void Media_come_and_go_while_requests_are_under_way()
    {
        FakeDisk first = new(DiskBytes) { IsReadOnly = true }, second = new(DiskBytes * 2) { IsReadOnly = true };
        using BlockFront front = new(first, readOnly: true, cdRom: true);
        Assert.Equal("7", front.Guest.ReadBack(BlockFront.Type, BlockFront.Id, "info"));
        (uint reference, _) = front.Page();
        first.DelayMilliseconds = second.DelayMilliseconds = 1;
        bool stop = false;
        Thread reader = new(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                front.Do(BlkifOp.Read, 0, new Segment(reference, 0, 7));
            }
        });
        reader.Start();
        void Change(FakeDisk? disk) => Assert.True(front.Guest.Bus.Update(BlockFront.Type, BlockFront.Id,
            n => front.Device.ChangeMedium(n, disk, disk == null ? "" : "raw:/x")));
        Thread.Sleep(20);
        Change(null);
        Assert.True(first.IsDisposed);
        Assert.Equal("0", front.Guest.ReadBack(BlockFront.Type, BlockFront.Id, "sectors"));
        Thread.Sleep(20);
        Change(second);
        Assert.Equal("4096", front.Guest.ReadBack(BlockFront.Type, BlockFront.Id, "sectors"));
        Thread.Sleep(20);
        Volatile.Write(ref stop, true);
        reader.Join();
        Assert.True(second.Reads > 0);
        front.MustBeWell(reference);
    }
}
