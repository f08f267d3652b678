using System.Linq;
using Ryokan.GuestMemory;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Tests;

/// <summary>mmu_update, mmuext_op and update_va_mapping: results, marks and counts (xen.h).</summary>
public sealed class PageTableCallTests
{
    private const ulong A4 = 0x50, A3 = 0x51, A2 = 0x52, A1 = 0x53, Data = 0x54;
    private const ulong Table = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User;

    private static void BuildTree(TestDomain d)
    {
        d.Put(A4 << 12, (A3 << 12) | Table);
        d.Put(A3 << 12, (A2 << 12) | Table);
        d.Put(A2 << 12, (A1 << 12) | Table);
        d.Put(A1 << 12, (Data << 12) | Table);
    }

    private static long Ext(TestDomain d, uint command, ulong mfn) =>
        Ext(d, new MmuextOp { Cmd = command, Mfn = mfn });

    private static long Ext(TestDomain d, MmuextOp op)
    {
        d.Put(TestDomain.ScratchVa, op);
        return d.Call(Hypercall.MmuextOp, TestDomain.ScratchVa, 1, 0, Domid.Self);
    }

    private static long Update(TestDomain d, ulong pointer, ulong value)
    {
        d.Put(TestDomain.ScratchVa, new MmuUpdate { Ptr = pointer, Val = value });
        return d.Call(Hypercall.MmuUpdate, TestDomain.ScratchVa, 1, 0, Domid.Self);
    }

    private static bool[] Marks(TestDomain d) =>
        new[] { A4, A3, A2, A1, Data }.Select(f => d.Frames.Has((long)f, FrameFlags.PageTable)).ToArray();

    [Fact]
    public void PinMarksTheWholeTreeAndUnpinReleasesIt()
    {
        using TestDomain d = new();
        BuildTree(d);
        Assert.Equal(0, Ext(d, MmuextCommand.PinL4Table, A4));
        Assert.Equal([true, true, true, true, false], Marks(d));
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.PinL4Table, A4));
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.PinL1Table, A3));
        Assert.Equal(0, Ext(d, MmuextCommand.UnpinTable, A4));
        Assert.Equal([false, false, false, false, false], Marks(d));
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.UnpinTable, A4));
    }

    [Fact]
    public void SharedTablesOutliveOneOfTheirTrees()
    {
        using TestDomain d = new();
        BuildTree(d);
        d.Put((A4 + 0x10) << 12, (A3 << 12) | Table);
        Assert.Equal(0, Ext(d, MmuextCommand.PinL4Table, A4));
        Assert.Equal(0, Ext(d, MmuextCommand.PinL4Table, A4 + 0x10));
        Assert.Equal(0, Ext(d, MmuextCommand.UnpinTable, A4));
        Assert.Equal([false, true, true, true, false], Marks(d));
    }

    [Fact]
    public void LoadedRootStaysATableAfterUnpin()
    {
        using TestDomain d = new();
        BuildTree(d);
        Assert.Equal(0, Ext(d, MmuextCommand.PinL4Table, A4));
        Assert.Equal(0, Ext(d, MmuextCommand.NewBaseptr, A4));
        Assert.Equal(A4, d.Cpu.KernelRoot);
        Assert.Equal(0, Ext(d, MmuextCommand.UnpinTable, A4));
        Assert.True(Marks(d)[0]);
        Assert.Equal(0, Ext(d, MmuextCommand.NewBaseptr, TestDomain.L4));
        Assert.False(Marks(d)[0]);
    }

    [Fact]
    public void MalformedTreesAreRefusedWithoutATrace()
    {
        using TestDomain d = new();
        BuildTree(d);
        d.Put((A2 << 12) + 8, (Data << 12) | Table | PageTableEntry.PageSize);
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.PinL4Table, A4));
        d.Put((A2 << 12) + 8, (0x7fffffful << 12) | Table);
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.PinL4Table, A4));
        d.Put((A2 << 12) + 8, (A4 << 12) | Table);
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.PinL4Table, A4));
        Assert.Equal([false, false, false, false, false], Marks(d));
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.PinL4Table, d.Domain.SharedInfoMfn));
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.PinL1Table, ulong.MaxValue));
    }

    [Fact]
    public void HypervisorSlotsOfARootAreNotTheGuests()
    {
        using TestDomain d = new();
        BuildTree(d);
        d.Put((A4 << 12) + 256 * 8, ulong.MaxValue);
        Assert.Equal(0, Ext(d, MmuextCommand.PinL4Table, A4));
        Assert.Equal(-Errno.EINVAL, Update(d, (A4 << 12) + 271 * 8, 0));
        Assert.Equal(0, Update(d, (A4 << 12) + 272 * 8, 0));
    }

    [Fact]
    public void UpperEntriesMoveReferences()
    {
        using TestDomain d = new();
        BuildTree(d);
        Assert.Equal(0, Ext(d, MmuextCommand.PinL4Table, A4));
        Assert.Equal(0, Update(d, A2 << 12, 0));
        Assert.Equal([true, true, true, false, false], Marks(d));
        Assert.Equal(0, Update(d, A2 << 12, (A1 << 12) | Table));
        Assert.True(Marks(d)[3]);
        Assert.Empty(d.Engine.Flushes);
        Assert.Equal(0, Update(d, A2 << 12, (Data << 12) | Table));
        Assert.Equal([true, true, true, false, true], Marks(d));
        Assert.Single(d.Engine.Flushes);
        Assert.Equal(-Errno.EINVAL, Update(d, A2 << 12, (A3 << 12) | Table));
        Assert.Equal((Data << 12) | Table, d.Get<ulong>(A2 << 12));
    }

    [Fact]
    public void PreserveKeepsAccessedAndDirtyOnly()
    {
        using TestDomain d = new();
        const ulong ad = PageTableEntry.Accessed | PageTableEntry.Dirty;
        d.Put(A1 << 12, (Data << 12) | Table | ad);
        Assert.Equal(0, Update(d, (A1 << 12) | MmuUpdateCommand.PtUpdatePreserveAd,
            (Data << 12) | PageTableEntry.Present));
        Assert.Equal((Data << 12) | PageTableEntry.Present | ad, d.Get<ulong>(A1 << 12));
        Assert.Equal(0, Update(d, A1 << 12, (Data << 12) | PageTableEntry.Present));
        Assert.Equal((Data << 12) | PageTableEntry.Present, d.Get<ulong>(A1 << 12));
    }

    [Fact]
    public void UpdateStopsAtTheFirstErrorAndCounts()
    {
        using TestDomain d = new();
        d.Put(TestDomain.ScratchVa, new MmuUpdate { Ptr = Data << 12, Val = 1 });
        d.Put(TestDomain.ScratchVa + 16, new MmuUpdate { Ptr = (Data << 12) + 8, Val = 2 });
        d.Put(TestDomain.ScratchVa + 32, new MmuUpdate { Ptr = 0xffff_ffff_f000, Val = 3 });
        d.Put(TestDomain.ScratchVa + 48, new MmuUpdate { Ptr = (Data << 12) + 16, Val = 4 });
        ulong done = TestDomain.ScratchVa + 0x100;
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.MmuUpdate, TestDomain.ScratchVa, 4, done, Domid.Self));
        Assert.Equal(2u, d.Get<uint>(done));
        Assert.Equal((1ul, 2ul, 0ul),
            (d.Get<ulong>(Data << 12), d.Get<ulong>((Data << 12) + 8), d.Get<ulong>((Data << 12) + 16)));
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.MmuUpdate, TestDomain.BadVa, 1, 0, Domid.Self));
        Assert.Equal(-Errno.EPERM, d.Call(Hypercall.MmuUpdate, TestDomain.ScratchVa, 1, 0, 0));
        Assert.Equal(-Errno.ESRCH, d.Call(Hypercall.MmuUpdate, TestDomain.ScratchVa, 1, 0, 99));
    }

    [Fact]
    public void MachphysUpdateChangesTheTable()
    {
        using TestDomain d = new();
        Assert.Equal(Data, d.Domain.MachineToPhysical.PfnOf(Data));
        Assert.Equal(0, Update(d, (Data << 12) | MmuUpdateCommand.MachphysUpdate, 0x123));
        Assert.Equal(0x123u, d.Domain.MachineToPhysical.PfnOf(Data));
        Assert.Equal(-Errno.EINVAL, Update(d, (TestDomain.Pages << 12) | MmuUpdateCommand.MachphysUpdate, 1));
    }

    [Fact]
    public void UpdateVaMappingWritesTheLeafAndFlushes()
    {
        using TestDomain d = new(vcpus: 2);
        BuildTree(d);
        Assert.Equal(0, Ext(d, MmuextCommand.NewBaseptr, A4));
        Assert.Equal(0, d.Call(Hypercall.UpdateVaMapping, 0, (A1 << 12) | 1, UpdateVaMappingFlags.Invlpg));
        Assert.Equal((A1 << 12) | 1, d.Get<ulong>(A1 << 12));
        Assert.Equal([0ul], d.Cpu.LocalFlushes);
        Assert.Equal(0, d.Call(Hypercall.UpdateVaMapping, 0x5000, 0,
            UpdateVaMappingFlags.TlbFlush | UpdateVaMappingFlags.All));
        Assert.Equal([(2ul, null)], d.Engine.Flushes);
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.UpdateVaMapping, 0x40000000, 0, 0));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.UpdateVaMapping, VirtualLayout.HypervisorVirtStart, 0, 0));
        Assert.Equal(-Errno.EINVAL, d.Call(Hypercall.UpdateVaMapping, 0, (0x7fffffful << 12) | 1, 0));
        Assert.Equal(-Errno.EFAULT, d.Call(Hypercall.UpdateVaMapping, 0, 0,
            UpdateVaMappingFlags.TlbFlush | TestDomain.BadVa));
    }

    [Fact]
    public void FlushesReachTheVcpusOfTheBitmap()
    {
        using TestDomain d = new(vcpus: 4);
        ulong bitmap = TestDomain.ScratchVa + 0x200;
        d.Put(bitmap, (byte)0b1011);
        Assert.Equal(0, Ext(d, new MmuextOp
        {
            Cmd = MmuextCommand.InvlpgMulti, LinearAddr = 0x9000, VcpuMask = bitmap,
        }));
        Assert.Equal([0x9000ul], d.Cpu.LocalFlushes);
        Assert.Equal([(0b1010ul, 0x9000ul)], d.Engine.Flushes);
        Assert.Equal(-Errno.EFAULT, Ext(d, new MmuextOp { Cmd = MmuextCommand.TlbFlushMulti, VcpuMask = TestDomain.BadVa }));
        Assert.Equal(-Errno.EOPNOTSUPP, Ext(d, MmuextCommand.MarkSuper, Data));
        Assert.Equal(-Errno.ENOSYS, Ext(d, 99, 0));
    }

    [Fact]
    public void ClearAndCopyPageSpareTables()
    {
        using TestDomain d = new();
        d.Put(Data << 12, 0x1122ul);
        Assert.Equal(0, Ext(d, new MmuextOp { Cmd = MmuextCommand.CopyPage, Mfn = Data + 1, SrcMfn = Data }));
        Assert.Equal(0x1122u, d.Get<ulong>((Data + 1) << 12));
        Assert.Equal(0, Ext(d, MmuextCommand.ClearPage, Data));
        Assert.Equal(0u, d.Get<ulong>(Data << 12));
        Assert.Equal(0, Ext(d, MmuextCommand.PinL1Table, A1));
        Assert.Equal(-Errno.EINVAL, Ext(d, MmuextCommand.ClearPage, A1));
    }
}
