#if SOFT_ENGINE
using System;
using Ryokan.Engine;
using Ryokan.Engine.Soft;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>
/// A vCPU that comes back to an address space looks up again what it used there; page tables may have changed meanwhile, without a flush, for
/// loading CR3 is one (Intel SDM vol. 3, 4.10.4.1).
/// </summary>
public sealed class AddressSpaceTests : IDisposable
{
    private const ulong Code = AddressLayout.Code, Function = Code + AddressLayout.PageSize, Data = AddressLayout.Data + 5 * AddressLayout.PageSize, Elsewhere = 0x7000_0000;
    private const int CodeFrame = 16, FunctionFrame = 19, OtherFunctionFrame = 30, DataFrame = 5, OtherDataFrame = 31;
    private const PageAccess Readable = PageAccess.Read, Runnable = PageAccess.Read | PageAccess.Execute, Writable = PageAccess.Read | PageAccess.Write;

    private readonly EngineRunner _runner =
        new(frames => new SoftEngine(frames, default, new SoftEngineOptions()), keepsDeadFlags: false);
    private readonly AddressLayout _layout = Layout();
    private readonly AddressLayout _other = Layout();
    private ulong _rbx, _rip;

    private static AddressLayout Layout() => new(
    [
        new PageMapping(Code, CodeFrame, Runnable), new PageMapping(Function, FunctionFrame, Runnable),
        new PageMapping(Data, DataFrame, Writable), new PageMapping(AddressLayout.Stack, 9, Writable),
    ]);

    public AddressSpaceTests()
    {
        _runner.Write(CodeFrame, Code, a =>
        {
            a.mov(ebx, __dword_ptr[Data]);
            a.lea(rdx, __[Function]);
            a.call(rdx);
            a.add(ebx, eax);
            a.mov(__dword_ptr[Data + 8], ebx);
            a.ud2();
        });
        _runner.Write(FunctionFrame, Function, a => { a.mov(eax, 10); a.ret(); });
        _runner.Write(OtherFunctionFrame, Function, a => { a.mov(eax, 200); a.ret(); });
        _runner.Frame(DataFrame)[0] = 1;
        _runner.Frame(OtherDataFrame)[0] = 4;
    }

    private ref ulong Entry(ulong va) => ref _runner.Tables.Entry(_runner.Root(_layout), va);

    /// <summary>Runs in an address space; the exception that ends it.</summary>
    private ExceptionVector Run(AddressLayout layout, bool kernel)
    {
        IVcpu vcpu = _runner.Vcpu;
        vcpu.KernelRoot = vcpu.UserRoot = _runner.Root(layout);
        EngineRunner.SetStart(vcpu, Code, AddressLayout.Stack + 0x800, kernel);
        vcpu.Run(out VcpuExit exit);
        Assert.Equal(ExitKind.Exception, exit.Kind);
        (_rbx, _rip) = (vcpu.Registers[Gpr.Rbx], vcpu.Registers.Rip);
        return (ExceptionVector)exit.Vector;
    }

    /// <summary>Uses everything in the address space, leaves it, changes it, and comes back.</summary>
    private ExceptionVector ChangeMeanwhile(bool kernel, Action change)
    {
        for (int n = 0; n < 3; n++)
        {
            Assert.Equal(ExceptionVector.InvalidOpcode, Run(_layout, kernel));
            Assert.Equal(11u, _rbx);
            Assert.Equal(ExceptionVector.InvalidOpcode, Run(_other, kernel));
        }
        change();
        return Run(_layout, kernel);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Data_that_moved_is_read_where_it_is(bool kernel)
    {
        Assert.Equal(ExceptionVector.InvalidOpcode, ChangeMeanwhile(kernel, () =>
            Entry(Data) = GuestPageTables.Leaf(new PageMapping(Data, OtherDataFrame, Writable)) | PageTableEntry.Accessed | PageTableEntry.Dirty));
        Assert.Equal(14u, _rbx);
        Assert.Equal(14, _runner.Frame(OtherDataFrame)[8]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_page_that_may_not_be_written_any_more_faults(bool kernel)
    {
        Assert.Equal(ExceptionVector.PageFault, ChangeMeanwhile(kernel, () =>
            Entry(Data) = GuestPageTables.Leaf(new PageMapping(Data, DataFrame, Readable)) | PageTableEntry.Accessed | PageTableEntry.Dirty));
        Assert.Equal(11u, _rbx);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_table_that_may_not_be_written_through_any_more_faults(bool kernel)
    {
        Assert.Equal(ExceptionVector.PageFault, ChangeMeanwhile(kernel, () =>
            _runner.Frames.Span(_runner.Root(_layout))[(int)PageTableEntry.Index(Data, 4) * 8] &= unchecked((byte)~PageTableEntry.Writable)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_page_that_is_gone_faults(bool kernel)
    {
        Assert.Equal(ExceptionVector.PageFault, ChangeMeanwhile(kernel, () => Entry(Data) = 0));
        Assert.Equal(Code, _rip);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Code_that_moved_is_run_where_it_is(bool kernel)
    {
        Assert.Equal(ExceptionVector.InvalidOpcode, ChangeMeanwhile(kernel, () =>
            Entry(Function) = GuestPageTables.Leaf(new PageMapping(Function, OtherFunctionFrame, Runnable)) | PageTableEntry.Accessed));
        Assert.Equal(201u, _rbx);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Code_that_may_not_be_run_any_more_faults(bool kernel)
    {
        Assert.Equal(ExceptionVector.PageFault, ChangeMeanwhile(kernel, () =>
            Entry(Function) = GuestPageTables.Leaf(new PageMapping(Function, FunctionFrame, Readable)) | PageTableEntry.Accessed));
        Assert.Equal(Function, _rip);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_used_is_marked_accessed_and_dirty(bool kernel)
    {
        ChangeMeanwhile(kernel, () => Entry(Data) &= ~(PageTableEntry.Accessed | PageTableEntry.Dirty));
        const ulong marks = PageTableEntry.Accessed | PageTableEntry.Dirty;
        Assert.Equal(marks, Entry(Data) & marks);
    }

    [Fact]
    public void Of_many_address_spaces_each_has_its_own()
    {
        const int spaces = 40;
        var layouts = new AddressLayout[spaces];
        for (int n = 0; n < spaces; n++)
        {
            layouts[n] = n % 2 == 0 ? Layout() : new AddressLayout(
            [
                new PageMapping(Code, CodeFrame, Runnable), new PageMapping(Function, OtherFunctionFrame, Runnable),
                new PageMapping(Data, OtherDataFrame, Writable), new PageMapping(AddressLayout.Stack, 9, Writable),
                new PageMapping(Elsewhere, 8, Readable),
            ]);
        }
        for (int n = 0; n < 20 * spaces; n++)
        {
            int space = n / spaces % 2 == 0 ? n % spaces : n * 7 % 5;
            Assert.Equal(ExceptionVector.InvalidOpcode, Run(layouts[space], kernel: false));
            Assert.Equal(space % 2 == 0 ? 11u : 204u, _rbx);
        }
    }

    public void Dispose() => _runner.Dispose();
}
#endif
