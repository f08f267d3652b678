#if SOFT_ENGINE
using System;
using System.Threading;
using System.Threading.Tasks;
using Iced.Intel;
using Ryokan.Engine;
using Ryokan.Engine.Soft;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>
/// Kernel code jumps from page to page by links that look at nothing, so they must go when a page moves, for whichever vCPU flushes first.
/// The upper half of the address space cannot be run on the host: what is expected is written down here.
/// </summary>
public sealed class KernelLinkTests : IDisposable
{
    private const ulong First = 0xffff_ffff_8100_0000, Second = First + AddressLayout.PageSize, Stack = First + 0x20_0000;
    private const int FirstFrame = 1, SecondFrame = 2, OtherFrame = 3, StackFrame = 4;

    private static readonly AddressLayout s_layout = new(
    [
        new PageMapping(First, FirstFrame, PageAccess.Read | PageAccess.Execute),
        new PageMapping(Second, SecondFrame, PageAccess.Read | PageAccess.Execute),
        new PageMapping(Stack, StackFrame, PageAccess.Read | PageAccess.Write),
    ]);

    private readonly EngineRunner _runner = new(frames => new SoftEngine(frames, default, new SoftEngineOptions()), keepsDeadFlags: false);
    private readonly IVcpu _second;

    public KernelLinkTests()
    {
        _second = _runner.Engine.CreateVcpu(1, _runner);
        foreach (IVcpu vcpu in (ReadOnlySpan<IVcpu>)[_runner.Vcpu, _second])
        {
            vcpu.KernelRoot = vcpu.UserRoot = _runner.Root(s_layout);
        }
        _runner.Write(FirstFrame, First, a =>
        {
            Label again = a.CreateLabel();
            a.mov(ebx, 0);
            a.mov(ecx, 3);
            a.Label(ref again);
            a.call(Second);
            a.add(ebx, eax);
            a.dec(ecx);
            a.jne(again);
            a.test(ebx, ebx);
            a.jne(Second + 0x100);
            a.ud2();
        });
        WriteSecond(SecondFrame, 11);
        WriteSecond(OtherFrame, 200);
    }

    /// <summary>A function at the page's beginning, and code that ends the run at 0x100.</summary>
    private void WriteSecond(int frame, int value)
    {
        _runner.Write(frame, Second, a =>
        {
            a.mov(eax, value);
            a.ret();
        });
        _runner.Write(frame, Second + 0x100, a =>
        {
            a.add(ebx, value);
            a.ud2();
        });
    }

    private static void Prepare(IVcpu vcpu) => EngineRunner.SetStart(vcpu, First, Stack + 0x800, kernelMode: true);

    /// <summary>RBX at the end.</summary>
    private static ulong Run(IVcpu vcpu)
    {
        Prepare(vcpu);
        vcpu.Run(out VcpuExit exit);
        Assert.Equal((ExitKind.Exception, (byte)ExceptionVector.InvalidOpcode), (exit.Kind, exit.Vector));
        return vcpu.Registers[Gpr.Rbx];
    }

    private void Move(int frame) => _runner.Tables.Entry(_runner.Root(s_layout), Second) =
        GuestPageTables.Leaf(new PageMapping(Second, frame, PageAccess.Read | PageAccess.Execute));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Links_go_when_their_page_moves(bool onePage)
    {
        IVcpu vcpu = _runner.Vcpu;
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(44u, Run(vcpu));
            Assert.Equal(44u, Run(vcpu));
            Move(OtherFrame);
            Flush(vcpu, onePage);
            Assert.Equal(800u, Run(vcpu));
            Assert.Equal(800u, Run(vcpu));
            Move(SecondFrame);
            Flush(vcpu, onePage);
        }
    }

    private static void Flush(IVcpu vcpu, bool onePage)
    {
        if (onePage)
        {
            vcpu.FlushPage(Second);
        }
        else
        {
            vcpu.FlushTlb();
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_first_who_flushes_runs_what_is_there_though_another_made_the_link(bool onePage)
    {
        Assert.Equal(44u, Run(_runner.Vcpu));
        Assert.Equal(44u, Run(_runner.Vcpu));
        Move(OtherFrame);
        Flush(_second, onePage);
        Assert.Equal(800u, Run(_second));
        Run(_runner.Vcpu); // has not flushed: whichever it runs, it makes no link for the other
        Assert.Equal(800u, Run(_second));
        Flush(_runner.Vcpu, onePage);
        Assert.Equal(800u, Run(_runner.Vcpu));
    }

    [Fact]
    public void A_page_that_is_not_there_any_more_faults()
    {
        Assert.Equal(44u, Run(_runner.Vcpu));
        _runner.Tables.Entry(_runner.Root(s_layout), Second) = 0;
        _runner.Vcpu.FlushTlb();
        Prepare(_runner.Vcpu);
        _runner.Vcpu.Run(out VcpuExit exit);
        Assert.Equal((ExitKind.Exception, (byte)ExceptionVector.PageFault, Second), (exit.Kind, exit.Vector, exit.Address));
        Assert.Equal(Second, _runner.Vcpu.Registers.Rip);
    }

    [Fact]
    public void Code_that_is_written_is_not_linked_to_any_more()
    {
        Assert.Equal(44u, Run(_runner.Vcpu));
        WriteSecond(SecondFrame, 5);
        Assert.Equal(20u, Run(_runner.Vcpu));
        Assert.Equal(20u, Run(_second));
    }

    [Fact]
    public async Task Jumps_to_and_fro_between_pages_can_be_ended()
    {
        _runner.Write(FirstFrame, First, a => a.jmp(Second));
        _runner.Write(SecondFrame, Second, a => a.jmp(First));
        Prepare(_runner.Vcpu);
        var kicks = new Timer(_ => _runner.Vcpu.Kick(), null, 200, 200);
        VcpuExit exit = default;
        Task run = Task.Run(() => _runner.Vcpu.Run(out exit));
        await run.WaitAsync(TimeSpan.FromSeconds(30));
        await kicks.DisposeAsync();
        Assert.Equal(ExitKind.Kicked, exit.Kind);
    }

    public void Dispose() => _runner.Dispose();
}
#endif
