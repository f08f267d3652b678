using System.Linq;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Tests;

/// <summary>memory_op: results as Xen's (common/memory.c), wrong arguments among them.</summary>
public sealed class MemoryCallTests
{
    /// <summary>Frames below this are populated in these tests, those above it free.</summary>
    private const ulong Populated = 0x200;

    private const ulong List = TestDomain.ScratchVa + 0x100, OtherList = (TestDomain.Scratch + 1) << 12;

    private static TestDomain Domain() => new(initialPages: Populated);

    private static long Op(TestDomain d, ulong op, XenMemoryReservation reservation, ulong start = 0) =>
        d.CallWith(Hypercall.MemoryOp, op | start << 6, reservation);

    private static XenMemoryReservation Extents(ulong count, uint order = 0, ulong list = List, uint flags = 0) =>
        new() { ExtentStart = list, NrExtents = count, ExtentOrder = order, MemFlags = flags, Domid = Domid.Self };

    private static void PutList(TestDomain d, ulong list, params ulong[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            d.Put(list + (ulong)i * 8, values[i]);
        }
    }

    private static ulong[] GetList(TestDomain d, ulong list, int count) =>
        [.. Enumerable.Range(0, count).Select(i => d.Get<ulong>(list + (ulong)i * 8))];

    private static ulong PfnOf(TestDomain d, ulong mfn) => d.Domain.MachineToPhysical.PfnOf(mfn);

    [Fact]
    public void BalloonGivesBackAndTakes()
    {
        using TestDomain d = new(initialPages: 1000);
        ulong list = TestDomain.ScratchVa + 0x100;
        XenMemoryReservation reservation = new() { ExtentStart = list, NrExtents = 2, Domid = Domid.Self };
        d.Put(list, 0x300ul);
        d.Put(list + 8, 0x301ul);
        d.Put(0x300ul << 12, 0x55ul);
        Assert.Equal(2, d.CallWith(Hypercall.MemoryOp, MemoryOp.DecreaseReservation, reservation));
        Assert.Equal(998u, d.Domain.CurrentPages);
        Assert.True(d.Frames.Has(0x300, FrameFlags.Absent));
        Assert.Equal(ulong.MaxValue, d.Domain.MachineToPhysical.PfnOf(0x300));
        Assert.Equal([(1ul, null)], d.Engine.Flushes);
        Assert.Equal(0u, d.Get<ulong>(0x300ul << 12));
        Assert.Equal(0, d.CallWith(Hypercall.MemoryOp, MemoryOp.DecreaseReservation, reservation));
        Assert.Equal(2, d.CallWith(Hypercall.MemoryOp, MemoryOp.PopulatePhysmap, reservation));
        Assert.Equal((0x300ul, 0x301ul), (d.Get<ulong>(list), d.Get<ulong>(list + 8)));
        Assert.Equal(0x301u, d.Domain.MachineToPhysical.PfnOf(0x301));
        Assert.Equal(1000, d.CallWith(Hypercall.MemoryOp, MemoryOp.CurrentReservation, Domid.Self));
        Assert.Equal((long)TestDomain.Pages, d.CallWith(Hypercall.MemoryOp, MemoryOp.MaximumReservation, Domid.Self));
        d.Put(list, TestDomain.L4);
        Assert.Equal(0, d.CallWith(Hypercall.MemoryOp, MemoryOp.DecreaseReservation, reservation));
    }

    [Fact]
    public void PopulatingAFrameInUseGivesAnother()
    {
        using TestDomain d = new(initialPages: 1000);
        ulong list = TestDomain.ScratchVa + 0x100;
        d.Put(list, 5ul);
        Assert.Equal(1, d.CallWith(Hypercall.MemoryOp, MemoryOp.PopulatePhysmap,
            new XenMemoryReservation { ExtentStart = list, NrExtents = 1, Domid = Domid.Self }));
        ulong mfn = d.Get<ulong>(list);
        Assert.InRange(mfn, 1000ul, TestDomain.Pages - 1);
        Assert.Equal(5u, d.Domain.MachineToPhysical.PfnOf(mfn));
    }

    [Fact]
    public void MemoryMapIsOneEntry()
    {
        using TestDomain d = new();
        ulong buffer = TestDomain.ScratchVa + 0x100;
        Assert.Equal(0, d.CallWith(Hypercall.MemoryOp, MemoryOp.MemoryMap,
            new XenMemoryMap { NrEntries = 128, Buffer = buffer }));
        Assert.Equal(1u, d.Get<XenMemoryMap>(TestDomain.ScratchVa).NrEntries);
        E820Entry entry = d.Get<E820Entry>(buffer);
        Assert.Equal((0ul, TestDomain.Pages << 12, 1u), (entry.Addr, entry.Size, entry.Type));
        Assert.Equal(0, d.Call(Hypercall.MemoryOp, MemoryOp.MachphysMapping, TestDomain.ScratchVa));
        // Not the start of the hole: see MachineToPhysical.VirtualStart.
        Assert.Equal(0xffff800000155000, d.Get<XenMachphysMapping>(TestDomain.ScratchVa).VStart);
        Assert.Equal(TestDomain.Pages - 1, d.Get<XenMachphysMapping>(TestDomain.ScratchVa).MaxMfn);
        Assert.Equal((long)TestDomain.Pages, d.Call(Hypercall.MemoryOp, MemoryOp.MaximumRamPage));
        Assert.Equal(0, d.CallWith(Hypercall.MemoryOp, MemoryOp.MemoryMap, new XenMemoryMap { Buffer = TestDomain.BadVa }));
        Assert.Equal(-Errno.EFAULT,
            d.CallWith(Hypercall.MemoryOp, MemoryOp.MemoryMap, new XenMemoryMap { NrEntries = 1, Buffer = TestDomain.BadVa }));
    }

    /// <summary>Whatever is wrong with a reservation, the answer is the number of extents done before: none.</summary>
    [Theory]
    [InlineData(MemoryOp.IncreaseReservation)]
    [InlineData(MemoryOp.DecreaseReservation)]
    [InlineData(MemoryOp.PopulatePhysmap)]
    public void ReservationsAnswerWithACount(ulong op)
    {
        using TestDomain d = Domain();
        PutList(d, List, 0x100, 0x101);
        Assert.Equal(0, d.Call(Hypercall.MemoryOp, op, TestDomain.BadVa));
        Assert.Equal(5, d.Call(Hypercall.MemoryOp, op | 5 << 6, TestDomain.BadVa));
        Assert.Equal(0, Op(d, op, Extents(0)));
        Assert.Equal(0, Op(d, op, Extents(2) with { Domid = 3 }));
        Assert.Equal(0, Op(d, op, Extents(2) with { Domid = 0 }));
        Assert.Equal(0, Op(d, op, Extents(2, order: 10)));
        Assert.Equal(0, Op(d, op, Extents(0x4000000)));
        Assert.Equal(9, Op(d, op, Extents(9), start: 9));
        Assert.Equal(0, Op(d, op, Extents(1, list: TestDomain.BadVa)));
        Assert.Equal(0, Op(d, op, Extents(2, flags: 12)));
        Assert.Equal(0, Op(d, op, Extents(2, flags: MemoryFlags.ExactNodeRequest | 1 << 8)));
    }

    [Fact]
    public void AListIsContinuedWhereItsStartSays()
    {
        using TestDomain d = Domain();
        PutList(d, List, 0x100, 0x101, 0x102);
        Assert.Equal(3, Op(d, MemoryOp.DecreaseReservation, Extents(3), start: 1));
        Assert.Equal(Populated - 2, d.Domain.CurrentPages);
        Assert.False(d.Frames.Has(0x100, FrameFlags.Absent));
        Assert.Equal(3, Op(d, MemoryOp.PopulatePhysmap, Extents(3), start: 2));
        Assert.True(d.Frames.Has(0x101, FrameFlags.Absent));
    }

    [Fact]
    public void ExtentsOfManyFrames()
    {
        using TestDomain d = Domain();
        PutList(d, List, 0x100, 0x180, Populated - 8);
        // The last has frames that are not there; what is before them is gone all the same.
        Assert.Equal(2, Op(d, MemoryOp.DecreaseReservation, Extents(3, order: 4)));
        Assert.Equal(Populated - 40, d.Domain.CurrentPages);
        Assert.Single(d.Engine.Flushes);
        // Aligned as in Xen: pfn 0x104 cannot have mfn 0x104.
        PutList(d, List, 0x180, 0x104);
        Assert.Equal(2, Op(d, MemoryOp.PopulatePhysmap, Extents(2, order: 3)));
        ulong[] mfns = GetList(d, List, 2);
        Assert.Equal(0x180ul, mfns[0]);
        Assert.Equal(0ul, mfns[1] & 7);
        Assert.Equal(0x104ul + 7, PfnOf(d, mfns[1] + 7));
        Assert.Equal(Populated - 24, d.Domain.CurrentPages);
    }

    /// <summary>A PV domain's physmap is its own: Xen writes down any number.</summary>
    [Fact]
    public void PfnsMayLieBeyondMemory()
    {
        using TestDomain d = Domain();
        PutList(d, List, 0x123456789, ulong.MaxValue);
        Assert.Equal(2, Op(d, MemoryOp.PopulatePhysmap, Extents(2)));
        Assert.Equal(0x123456789ul, PfnOf(d, d.Get<ulong>(List)));
    }

    [Fact]
    public void IncreaseGivesFramesWithoutPfn()
    {
        using TestDomain d = Domain();
        Assert.Equal(2, Op(d, MemoryOp.IncreaseReservation, Extents(2, order: 2)));
        ulong[] mfns = GetList(d, List, 2);
        Assert.All(mfns, m => Assert.InRange(m, Populated, TestDomain.Pages - 4));
        Assert.All(mfns, m => Assert.Equal(ulong.MaxValue, PfnOf(d, m + 3)));
        Assert.Equal(3, Op(d, MemoryOp.IncreaseReservation, Extents(3, list: 0)));
        Assert.Equal(Populated + 11, d.Domain.CurrentPages);
        // Nothing is free below 2^20.
        Assert.Equal(0, Op(d, MemoryOp.IncreaseReservation, Extents(1, flags: 20)));
        long free = (long)(TestDomain.Pages - d.Domain.CurrentPages);
        Assert.Equal(free, Op(d, MemoryOp.IncreaseReservation, Extents(5000, list: 0)));
    }

    [Fact]
    public void PopulateOnDemandIsForOthers()
    {
        using TestDomain d = Domain();
        PutList(d, List, Populated);
        Assert.Equal(0, Op(d, MemoryOp.PopulatePhysmap, Extents(1, flags: MemoryFlags.PopulateOnDemand)));
    }

    [Fact]
    public void ThePhysmapOfAPvDomainIsNotXens()
    {
        using TestDomain d = Domain();
        XenAddToPhysmap add = new() { Domid = Domid.Self };
        Assert.Equal(-Errno.EACCES, d.CallWith(Hypercall.MemoryOp, MemoryOp.AddToPhysmap, add));
        Assert.Equal(-Errno.EACCES, d.CallWith(Hypercall.MemoryOp, MemoryOp.AddToPhysmap, add with { Domid = 0 }));
        Assert.Equal(-Errno.ESRCH, d.CallWith(Hypercall.MemoryOp, MemoryOp.AddToPhysmap, add with { Domid = 3 }));
        Assert.Equal(-Errno.ENOSYS,
            d.CallWith(Hypercall.MemoryOp, MemoryOp.AddToPhysmap, add with { Space = MapSpace.GmfnForeign, Domid = 3 }));
        Assert.Equal(-Errno.EDOM, d.Call(Hypercall.MemoryOp, MemoryOp.AddToPhysmap | 0x10000 << 6, TestDomain.BadVa));
        XenAddToPhysmapBatch batch = new() { Domid = Domid.Self };
        Assert.Equal(-Errno.EACCES, d.CallWith(Hypercall.MemoryOp, MemoryOp.AddToPhysmapBatch, batch));
        Assert.Equal(-Errno.EOPNOTSUPP,
            d.CallWith(Hypercall.MemoryOp, MemoryOp.AddToPhysmapBatch, batch with { Space = (ushort)MapSpace.GmfnRange }));
        Assert.Equal(-Errno.EACCES,
            d.CallWith(Hypercall.MemoryOp, MemoryOp.RemoveFromPhysmap, new XenRemoveFromPhysmap { Domid = Domid.Self }));
        foreach (ulong op in new ulong[] { MemoryOp.AddToPhysmap, MemoryOp.AddToPhysmapBatch, MemoryOp.RemoveFromPhysmap })
        {
            Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.MemoryOp, op, TestDomain.BadVa));
        }
    }

    [Fact]
    public void OnlyLongCallsHaveAStart()
    {
        using TestDomain d = Domain();
        foreach (ulong op in new ulong[]
            {
                MemoryOp.MaximumRamPage, MemoryOp.CurrentReservation, MemoryOp.MaximumReservation,
                MemoryOp.MaximumGpfn, MemoryOp.Exchange, MemoryOp.RemoveFromPhysmap,
            })
        {
            Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.MemoryOp, op | 1 << 6, TestDomain.ScratchVa));
        }
        Assert.Equal(-Errno.ENOSYS, d.Call(Hypercall.MemoryOp, MemoryOp.MemoryMap | 1 << 6, TestDomain.ScratchVa));
        Assert.Equal(-Errno.ESRCH, d.CallWith(Hypercall.MemoryOp, MemoryOp.CurrentReservation, (ushort)3));
        Assert.Equal(-Errno.EPERM, d.CallWith(Hypercall.MemoryOp, MemoryOp.CurrentReservation, (ushort)0));
    }

    private static XenMemoryExchange Exchange(XenMemoryReservation taken, XenMemoryReservation given) =>
        new() { In = taken, Out = given with { ExtentStart = OtherList } };

    private static (long Result, ulong Done) Exchange(TestDomain d, XenMemoryExchange exchange)
    {
        long result = d.CallWith(Hypercall.MemoryOp, MemoryOp.Exchange, exchange);
        return (result, d.Get<XenMemoryExchange>(TestDomain.ScratchVa).NrExchanged);
    }

    /// <summary>What Linux asks for: single frames become an aligned row.</summary>
    [Fact]
    public void SingleFramesBecomeOneExtent()
    {
        using TestDomain d = Domain();
        PutList(d, List, 0x103, 0x101, 0x155, 0x100);
        d.Put(0x103 << 12, 0x55ul);
        PutList(d, OtherList, 0x80);
        Assert.Equal((0, 4ul), Exchange(d, Exchange(Extents(4), Extents(1, order: 2))));
        ulong mfn = d.Get<ulong>(OtherList);
        Assert.Equal(0ul, mfn & 3);
        Assert.Equal([0x80ul, 0x81ul, 0x82ul, 0x83ul], Enumerable.Range(0, 4).Select(i => PfnOf(d, mfn + (ulong)i)));
        Assert.False(d.Frames.Has((long)mfn + 3, FrameFlags.Absent));
        Assert.Equal([0x103ul, 0x101, 0x155, 0x100], GetList(d, List, 4));
        Assert.All(GetList(d, List, 4), m => Assert.True(d.Frames.Has((long)m, FrameFlags.Absent)));
        Assert.All(GetList(d, List, 4), m => Assert.Equal(ulong.MaxValue, PfnOf(d, m)));
        Assert.Equal(0ul, d.Get<ulong>(0x103 << 12));
        Assert.Equal(Populated, d.Domain.CurrentPages);
        Assert.Equal([(1ul, null)], d.Engine.Flushes);
        // And back.
        PutList(d, List, mfn);
        PutList(d, OtherList, 0x103, 0x101, 0x155, 0x100);
        Assert.Equal((0, 1ul), Exchange(d, Exchange(Extents(1, order: 2), Extents(4))));
        Assert.Equal([0x103ul, 0x101, 0x155, 0x100], GetList(d, OtherList, 4));
        Assert.Equal(0x155ul, PfnOf(d, 0x155));
    }

    /// <summary>Without any other free memory the frames that go are what the extent is made of.</summary>
    [Fact]
    public void AFullDomainExchangesItsOwnFrames()
    {
        using TestDomain d = new();
        PutList(d, List, 0x102, 0x103, 0x101, 0x100);
        PutList(d, OtherList, 0x200);
        Assert.Equal((0, 4ul), Exchange(d, Exchange(Extents(4), Extents(1, order: 2))));
        Assert.Equal(0x100ul, d.Get<ulong>(OtherList));
        Assert.Equal(0x203ul, PfnOf(d, 0x103));
        // Frames that are in no row: nothing is done, everything is as before.
        PutList(d, List, 0x112, 0x123, 0x131, 0x140);
        d.Put(0x123 << 12, 0x55ul);
        Assert.Equal((-Errno.ENOMEM, 0ul), Exchange(d, Exchange(Extents(4), Extents(1, order: 2))));
        Assert.Equal((0x55ul, 0x123ul), (d.Get<ulong>(0x123 << 12), PfnOf(d, 0x123)));
        Assert.False(d.Frames.Has(0x123, FrameFlags.Absent));
        Assert.Equal(TestDomain.Pages, d.Domain.CurrentPages);
    }

    [Fact]
    public void AnAddressWidthIsKept()
    {
        using TestDomain d = Domain();
        PutList(d, List, 0x1f0, 0x40, 0x41);
        PutList(d, OtherList, 0x1f0);
        Assert.Equal((-Errno.ENOMEM, 0ul), Exchange(d, Exchange(Extents(1), Extents(1, flags: 20))));
        Assert.Equal(2, Op(d, MemoryOp.DecreaseReservation, Extents(2, list: List + 8)));
        Assert.Equal((0, 1ul), Exchange(d, Exchange(Extents(1), Extents(1, flags: 20))));
        Assert.Equal(0x40ul, d.Get<ulong>(OtherList));
        Assert.Equal(0x1f0ul, PfnOf(d, 0x40));
    }

    [Fact]
    public void WhatIsDoneBeforeAnErrorIsReported()
    {
        using TestDomain d = Domain();
        // The second step has a table, the third a frame twice, the fourth one that is not there.
        foreach (ulong bad in new ulong[] { TestDomain.L4, 0x102, Populated, ulong.MaxValue })
        {
            PutList(d, List, 0x100, 0x101, 0x102, bad);
            PutList(d, OtherList, 0x100, 0x102);
            d.Put(0x102 << 12, 0x55ul);
            Assert.Equal((-Errno.EINVAL, 2ul), Exchange(d, Exchange(Extents(4), Extents(2, order: 1))));
            Assert.Equal((0x100ul, 0x102ul), (d.Get<ulong>(OtherList), d.Get<ulong>(OtherList + 8)));
            Assert.Equal((0x55ul, 0x102ul), (d.Get<ulong>(0x102 << 12), PfnOf(d, 0x102)));
            Assert.Equal(Populated, d.Domain.CurrentPages);
        }
        PutList(d, List + 24, 0x103);
        Assert.Equal((0, 4ul), Exchange(d, Exchange(Extents(4), Extents(2, order: 1)) with { NrExchanged = 2 }));
        Assert.Equal(0ul, d.Get<ulong>(0x102 << 12));
    }

    [Fact]
    public void ExchangesThatAreWrong()
    {
        using TestDomain d = Domain();
        PutList(d, List, 0x100);
        PutList(d, OtherList, 0x100);
        XenMemoryReservation one = Extents(1);
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.MemoryOp, MemoryOp.Exchange, TestDomain.BadVa));
        Assert.Equal((-Errno.EPERM, 0ul), Exchange(d, Exchange(Extents(1, order: 10), Extents(1, order: 10))));
        Assert.Equal((-Errno.EINVAL, 0ul), Exchange(d, Exchange(Extents(3), Extents(1, order: 1))));
        Assert.Equal((-Errno.EINVAL, 2ul), Exchange(d, Exchange(one, one) with { NrExchanged = 2 }));
        Assert.Equal((-Errno.EINVAL, 0ul), Exchange(d, Exchange(one, one with { Domid = 3 })));
        Assert.Equal((-Errno.EINVAL, 0ul),
            Exchange(d, Exchange(Extents(1ul << 60, order: 4), Extents(1ul << 60, order: 4))));
        Assert.Equal((-Errno.EINVAL, 0ul),
            Exchange(d, Exchange(one, Extents(1, flags: MemoryFlags.ExactNodeRequest | 1 << 8))));
        Assert.Equal((-Errno.ESRCH, 0ul), Exchange(d, Exchange(one with { Domid = 3 }, one with { Domid = 3 })));
        Assert.Equal((-Errno.EPERM, 0ul), Exchange(d, Exchange(one with { Domid = 0 }, one with { Domid = 0 })));
        Assert.Equal((-Errno.EFAULT, 0ul), Exchange(d, Exchange(one with { ExtentStart = TestDomain.BadVa }, one)));
        Assert.Equal((-Errno.EFAULT, 0ul),
            Exchange(d, new XenMemoryExchange { In = one, Out = one with { ExtentStart = TestDomain.BadVa } }));
        Assert.Equal((0, 0ul), Exchange(d, Exchange(Extents(0), Extents(0))));
        Assert.Equal((0, 1ul), Exchange(d, Exchange(one, one) with { NrExchanged = 1 }));
        Assert.Empty(d.Engine.Flushes);
        Assert.Equal(0x100ul, PfnOf(d, 0x100));
    }
}
