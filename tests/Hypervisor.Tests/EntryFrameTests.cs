using Ryokan.Engine;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Tests;

/// <summary>The frames by which the guest kernel is entered, and the way back (xen-x86_64.h, iret_context).</summary>
public sealed class EntryFrameTests
{
    private const ulong Handler = 0xffffffff81001000;

    private static void Registers(FakeVcpu cpu, bool kernel)
    {
        ref VcpuRegisters r = ref cpu.Registers;
        r.Rip = 0x1234;
        r.Rflags = (ulong)(Rflags.IF | Rflags.Reserved1 | Rflags.CF | Rflags.AC | Rflags.TF);
        r[Gpr.Rcx] = 0xc0c0;
        r[Gpr.R11] = 0x1111;
        r[Gpr.Rsp] = kernel ? TestDomain.KernelStackTop - 0x108 : TestDomain.UserStackTop;
        r.KernelMode = kernel ? (byte)1 : (byte)0;
        r.Selectors[(int)SegmentRegister.Cs] = kernel ? FlatSelector.KernelCs64 : (ushort)0x33;
        r.Selectors[(int)SegmentRegister.Ss] = (ushort)0x2b;
        r.GsBase = kernel ? 0x100 : 0x200u;
    }

    private static ulong[] Frame(TestDomain d, int words)
    {
        ulong[] frame = new ulong[words];
        for (int i = 0; i < words; i++)
        {
            frame[i] = d.Get<ulong>(d.Cpu.Registers[Gpr.Rsp] + (ulong)i * 8);
        }
        return frame;
    }

    [Fact]
    public void PageFaultInKernelPushesErrorCodeWithoutUserBit()
    {
        using TestDomain d = new();
        d.Vcpu.Traps[14] = new TrapInfo { Vector = 14, Flags = 4, Address = Handler };
        d.Vcpu.UpcallMask = 0;
        ulong[] frame = [];
        d.Play(cpu =>
        {
            Registers(cpu, kernel: true);
            return VcpuExit.PageFault(0xdead000, PageFaultError.Write | PageFaultError.User);
        }, cpu =>
        {
            frame = Frame(d, 8);
            Assert.Equal(Handler, cpu.Registers.Rip);
            return default;
        });
        ulong flags = (ulong)(Rflags.IF | Rflags.Reserved1 | Rflags.CF | Rflags.AC | Rflags.TF);
        Assert.Equal(
            [0xc0c0, 0x1111, 2, 0x1234, 0xe030, flags, TestDomain.KernelStackTop - 0x108, 0x2b], frame);
        Assert.Equal(0xdead000u, d.Vcpu.Cr2);
        Assert.Equal(1, d.Vcpu.UpcallMask);
        Assert.Equal((ulong)(Rflags.IF | Rflags.Reserved1 | Rflags.CF), d.Cpu.Registers.Rflags);
        Assert.Equal(0x100u, d.Cpu.Registers.GsBase);
        Assert.Equal(0u, (TestDomain.KernelStackTop - 0x110 - d.Cpu.Registers[Gpr.Rsp]) & 15);
    }

    [Fact]
    public void FaultInUserModeTogglesToTheKernelStackAndGs()
    {
        using TestDomain d = new();
        d.Vcpu.Traps[13] = new TrapInfo { Vector = 13, Flags = 0, Address = Handler };
        d.Vcpu.UpcallMask = 0;
        d.Vcpu.OtherGsBase = 0x100;
        d.Vcpu.KernelSp = TestDomain.KernelStackTop - 4;
        d.Play(cpu =>
        {
            Registers(cpu, kernel: false);
            return VcpuExit.Fault(ExceptionVector.GeneralProtection, 0x58);
        });
        ulong[] frame = Frame(d, 8);
        Assert.Equal(0x58u, frame[2]);
        Assert.Equal(0x33u, frame[4]);
        Assert.Equal(TestDomain.UserStackTop, frame[6]);
        Assert.Equal(((TestDomain.KernelStackTop - 4) & ~15UL) - 64, d.Cpu.Registers[Gpr.Rsp]);
        Assert.Equal(1, d.Cpu.Registers.KernelMode);
        Assert.Equal(0x100u, d.Cpu.Registers.GsBase);
        Assert.Equal(0x200u, d.Vcpu.OtherGsBase);
        Assert.Equal(0, d.Vcpu.UpcallMask);
    }

    [Fact]
    public void MaskedInterruptsShowInSavedFlagsAndInTheCsWord()
    {
        using TestDomain d = new();
        d.Vcpu.Traps[6] = new TrapInfo { Vector = 6, Address = Handler };
        d.Vcpu.UpcallMask = 1;
        d.Play(cpu =>
        {
            Registers(cpu, kernel: true);
            return VcpuExit.Fault(ExceptionVector.InvalidOpcode);
        });
        ulong[] frame = Frame(d, 7);
        Assert.Equal(0x1_0000_e030u, frame[3]);
        Assert.Equal(0u, frame[4] & (ulong)Rflags.IF);
    }

    [Fact]
    public void SystemCallPushesUserStateAndMasks()
    {
        using TestDomain d = new();
        d.Vcpu.SyscallCallback = new Vcpus.Callback(Handler, true);
        d.Vcpu.UpcallMask = 0;
        d.Vcpu.KernelSp = TestDomain.KernelStackTop;
        d.Play(cpu =>
        {
            Registers(cpu, kernel: false);
            cpu.Registers.LongCode = 1;
            cpu.Registers.Rflags |= (ulong)Rflags.DF;
            return new VcpuExit { Kind = ExitKind.Syscall };
        });
        ulong[] frame = Frame(d, 7);
        Assert.Equal(0xc0c0u, frame[0]);
        Assert.Equal(0x1234u, frame[2]);
        Assert.Equal(FlatSelector.UserCs64, frame[3]);
        Assert.Equal((ulong)(Rflags.DF | Rflags.IF), frame[4] & (ulong)(Rflags.DF | Rflags.IF));
        Assert.Equal(TestDomain.UserStackTop, frame[5]);
        Assert.Equal(FlatSelector.UserSs64, frame[6]);
        Assert.Equal(0u, d.Cpu.Registers.Rflags & (ulong)(Rflags.DF | Rflags.TF | Rflags.AC));
        Assert.Equal(1, d.Vcpu.UpcallMask);
    }

    [Fact]
    public void IretToUserLoadsTheFrameAndUnmasks()
    {
        using TestDomain d = new();
        SetUserDescriptors(d);
        d.Vcpu.UpcallMask = 1;
        d.Vcpu.OtherGsBase = 0x200;
        d.Put(TestDomain.ScratchVa, new IretContext
        {
            Rax = 1, R11 = 2, Rcx = 3, Rip = 0x4000, Cs = 0x33, Rflags = (ulong)(Rflags.IF | Rflags.ZF | Rflags.Iopl),
            Rsp = 0x5000, Ss = 0x2b,
        });
        VcpuRegisters seen = default;
        byte mask = 9;
        d.Play(cpu =>
        {
            cpu.UserRoot = TestDomain.UserL4;
            cpu.Registers.GsBase = 0x100;
            cpu.Registers[Gpr.Rsp] = TestDomain.ScratchVa;
            cpu.Registers[Gpr.Rax] = Hypercall.Iret;
            return new VcpuExit { Kind = ExitKind.Hypercall };
        }, cpu =>
        {
            (seen, mask) = (cpu.Registers, d.Vcpu.UpcallMask);
            return default;
        });
        Assert.Equal(0, seen.KernelMode);
        Assert.Equal(1, seen.LongCode);
        Assert.Equal((1ul, 2ul, 3ul), (seen[Gpr.Rax], seen[Gpr.R11], seen[Gpr.Rcx]));
        Assert.Equal((0x4000ul, 0x5000ul), (seen.Rip, seen[Gpr.Rsp]));
        Assert.Equal((ulong)(Rflags.IF | Rflags.ZF | Rflags.Reserved1), seen.Rflags);
        Assert.Equal((0x200ul, 0x100ul), (seen.GsBase, d.Vcpu.OtherGsBase));
        Assert.Equal(0, mask);
    }

    [Fact]
    public void IretToAnEmptySelectorIsAProtectionFault()
    {
        using TestDomain d = new();
        d.Vcpu.Traps[13] = new TrapInfo { Vector = 13, Address = Handler };
        d.Put(TestDomain.ScratchVa, new IretContext { Cs = 0x58, Ss = 0x60 });
        ulong rip = 0;
        d.Play(cpu =>
        {
            cpu.Registers[Gpr.Rsp] = TestDomain.ScratchVa;
            cpu.Registers[Gpr.Rax] = Hypercall.Iret;
            return new VcpuExit { Kind = ExitKind.Hypercall };
        }, cpu =>
        {
            rip = cpu.Registers.Rip;
            return default;
        });
        Assert.Equal(Handler, rip);
    }

    [Fact]
    public void IretToUserWithoutUserTableCrashesTheDomain()
    {
        using TestDomain d = new();
        d.Put(TestDomain.ScratchVa, new IretContext { Cs = 0x33 });
        d.Cpu.Registers[Gpr.Rsp] = TestDomain.ScratchVa;
        d.Play(cpu =>
        {
            cpu.Registers[Gpr.Rsp] = TestDomain.ScratchVa;
            cpu.Registers[Gpr.Rax] = Hypercall.Iret;
            return new VcpuExit { Kind = ExitKind.Hypercall };
        });
        Assert.Equal(ShutdownReason.Crash, d.Domain.WaitForShutdown(default));
        Assert.Contains("user page table", d.Domain.Crash!.Reason, System.StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x80, 3, false, 0x80)]
    [InlineData(0x80, 0, false, 13)]
    [InlineData(0x80, 1, true, 0x80)]
    [InlineData(0x80, 0, true, 13)]
    public void SoftwareInterruptNeedsTheDpl(byte vector, byte dpl, bool kernel, byte delivered)
    {
        using TestDomain d = new();
        d.Vcpu.KernelSp = TestDomain.KernelStackTop;
        d.Vcpu.Traps[vector] = new TrapInfo { Vector = vector, Flags = dpl, Address = Handler + vector };
        d.Vcpu.Traps[13] = new TrapInfo { Vector = 13, Address = Handler + 13 };
        ulong rip = 0;
        ulong[] frame = [];
        d.Play(cpu =>
        {
            Registers(cpu, kernel);
            return new VcpuExit { Kind = ExitKind.SoftwareInterrupt, Vector = vector, Length = 2 };
        }, cpu =>
        {
            (rip, frame) = (cpu.Registers.Rip, Frame(d, 4));
            return default;
        });
        Assert.Equal(Handler + delivered, rip);
        Assert.Equal(delivered == 13 ? ((uint)vector << 3) | 2u : 0x1236u, frame[2]);
    }

    [Fact]
    public void EventIsDeliveredBeforeTheNextInstructionWhenUnmasked()
    {
        using TestDomain d = new();
        d.Vcpu.EventCallback = new Vcpus.Callback(Handler, true);
        Assert.Equal(0, d.Domain.Events.BindIpi(0, out uint port));
        ulong atMasked = 0, atOpen = 0;
        d.Put(TestDomain.ScratchVa, port);
        d.Play(
            TestDomain.Hypercall(Hypercall.EventChannelOp, EventChannelOp.Send, TestDomain.ScratchVa),
            cpu =>
            {
                atMasked = cpu.Registers.Rip;
                d.Vcpu.UpcallMask = 0;
                return TestDomain.Hypercall(Hypercall.XenVersion)(cpu);
            },
            cpu =>
            {
                atOpen = cpu.Registers.Rip;
                return default;
            });
        Assert.NotEqual(Handler, atMasked);
        Assert.Equal(Handler, atOpen);
        Assert.Equal(1, d.Vcpu.UpcallMask);
    }

    [Fact]
    public void FaultWithoutHandlerCrashesWithAReport()
    {
        using TestDomain d = new();
        d.Play(cpu =>
        {
            Registers(cpu, kernel: true);
            return VcpuExit.Fault(ExceptionVector.InvalidOpcode);
        });
        Assert.Equal(ShutdownReason.Crash, d.Domain.WaitForShutdown(default));
        Assert.Contains("exception 6", d.Domain.Crash!.Details, System.StringComparison.Ordinal);
        Assert.Equal(0x1234u, d.Domain.Crash.Registers.Rip);
    }

    [Fact]
    public void FrameThatCannotBeWrittenCrashes()
    {
        using TestDomain d = new();
        d.Vcpu.Traps[6] = new TrapInfo { Vector = 6, Address = Handler };
        d.Play(cpu =>
        {
            Registers(cpu, kernel: true);
            cpu.Registers[Gpr.Rsp] = TestDomain.BadVa;
            return VcpuExit.Fault(ExceptionVector.InvalidOpcode);
        });
        Assert.Equal(ShutdownReason.Crash, d.Domain.WaitForShutdown(default));
    }

    private static void SetUserDescriptors(TestDomain d)
    {
        const ulong gdtFrame = 0x40;
        d.Put((gdtFrame << 12) + 0x30, 0x00affb000000fffful);
        d.Put((gdtFrame << 12) + 0x28, 0x00cff3000000fffful);
        d.Put(TestDomain.ScratchVa + 0x800, gdtFrame);
        Assert.Equal(0, d.Call(Hypercall.SetGdt, TestDomain.ScratchVa + 0x800, 16));
    }
}
