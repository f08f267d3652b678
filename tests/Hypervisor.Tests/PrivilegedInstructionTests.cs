using Ryokan.Engine;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Tests;

/// <summary>Instruction emulation and the CPUID policy.</summary>
public sealed class PrivilegedInstructionTests
{
    private const ulong FaultHandler = 0x9000;

    /// <summary>Plays one privileged instruction of two bytes; gives the registers after it.</summary>
    private static VcpuRegisters Play(TestDomain d, VcpuExit exit, bool kernel = true, bool handlers = true)
    {
        VcpuRegisters seen = default;
        if (handlers)
        {
            d.Vcpu.Traps[13] = new TrapInfo { Vector = 13, Address = FaultHandler };
        }
        d.Vcpu.KernelSp = TestDomain.KernelStackTop;
        exit.Kind = ExitKind.Privileged;
        exit.Length = 2;
        d.Play(cpu =>
        {
            cpu.Registers.Rip = 0x1000;
            cpu.Registers.KernelMode = kernel ? (byte)1 : (byte)0;
            return exit;
        }, cpu =>
        {
            seen = cpu.Registers;
            return default;
        });
        return seen;
    }

    private static VcpuExit Op(PrivilegedOperation operation) => new() { Operation = operation };

    [Fact]
    public void FirstInstructionWritesGsBaseBeforeAnyHandlerExists()
    {
        using TestDomain d = new();
        d.Cpu.Registers[Gpr.Rcx] = 0xc0000101;
        d.Cpu.Registers[Gpr.Rax] = 0x8301a000;
        d.Cpu.Registers[Gpr.Rdx] = 0xffffffff;
        VcpuRegisters seen = Play(d, Op(PrivilegedOperation.Wrmsr), handlers: false);
        Assert.Equal((0xffffffff8301a000, 0x1002ul), (seen.GsBase, seen.Rip));
    }

    [Theory]
    [InlineData(0x277, 0x0000000000070406ul, 0x00050100ul)]
    [InlineData(0x1b, 0xfee00900ul, 0ul)]
    [InlineData(0xc0000080, 0xd01ul, 0ul)]
    public void KnownMsrsRead(uint msr, ulong eax, ulong edx)
    {
        using TestDomain d = new();
        d.Cpu.Registers[Gpr.Rcx] = msr;
        VcpuRegisters seen = Play(d, Op(PrivilegedOperation.Rdmsr));
        Assert.Equal((eax, edx == 0x00050100 ? 0x0501ul : edx), (seen[Gpr.Rax], seen[Gpr.Rdx]));
    }

    [Fact]
    public void UnknownMsrFaultsOnceThereAreHandlers()
    {
        using TestDomain with = new(), without = new();
        with.Cpu.Registers[Gpr.Rcx] = without.Cpu.Registers[Gpr.Rcx] = 0x34;
        Assert.Equal(FaultHandler, Play(with, Op(PrivilegedOperation.Rdmsr)).Rip);
        Assert.Equal(0x1002u, Play(without, Op(PrivilegedOperation.Rdmsr), handlers: false).Rip);
    }

    /// <summary>As on Xen, which answers for AMD's and Hygon's processors only (guest_rdmsr in its msr.c).</summary>
    [Theory]
    [InlineData(0x68747541u, 0xc0010015u, 0x1002ul, 0ul)]
    [InlineData(0x6f677948u, 0xc0011029u, 0x1002ul, 2ul)]
    [InlineData(0x756e6547u, 0xc0010015u, FaultHandler, 0xc0010015ul)]
    public void AmdMsrsAreThereOnAmdOnly(uint vendor, uint msr, ulong rip, ulong value)
    {
        using TestDomain d = new(prepare: e => e.CpuidAnswers[(0, 0)] = new CpuidResult(0x10, vendor, 0, 0));
        d.Cpu.Registers[Gpr.Rcx] = d.Cpu.Registers[Gpr.Rax] = msr;
        VcpuRegisters seen = Play(d, Op(PrivilegedOperation.Rdmsr));
        Assert.Equal((rip, value), (seen.Rip, seen[Gpr.Rax]));
    }

    [Theory]
    [InlineData(PrivilegedOperation.Rdmsr)]
    [InlineData(PrivilegedOperation.ReadCr)]
    [InlineData(PrivilegedOperation.Cli)]
    [InlineData(PrivilegedOperation.In)]
    [InlineData(PrivilegedOperation.Wbinvd)]
    [InlineData(PrivilegedOperation.Hlt)]
    public void UserModeFaults(PrivilegedOperation operation)
    {
        using TestDomain d = new();
        d.Vcpu.Iopl = 1;
        Assert.Equal(FaultHandler, Play(d, Op(operation), kernel: false).Rip);
    }

    [Fact]
    public void CliDoesNotTouchTheEventMask()
    {
        using TestDomain d = new();
        d.Vcpu.Iopl = 1;
        d.Vcpu.UpcallMask = 0;
        Assert.Equal(0x1002u, Play(d, Op(PrivilegedOperation.Cli)).Rip);
        Assert.Equal(0, d.Vcpu.UpcallMask);
    }

    [Fact]
    public void PortsReadOnes()
    {
        using TestDomain d = new();
        d.Vcpu.Iopl = 1;
        d.Cpu.Registers[Gpr.Rax] = 0x1111_2222_3333_4444;
        VcpuRegisters seen = Play(d, new VcpuExit { Operation = PrivilegedOperation.In, Port = 0xcfc, Size = 2 });
        Assert.Equal(0x1111_2222_3333_fffful, seen[Gpr.Rax]);
    }

    [Theory]
    [InlineData(0x3f8, true)]
    [InlineData(0x3f9, false)]
    [InlineData(0x500, false)]
    public void UserPortsFollowTheBitmap(ushort port, bool allowed)
    {
        using TestDomain d = new();
        d.Put(TestDomain.ScratchVa + 0x3f8 / 8, (byte)0xfe);
        d.Vcpu.IoBitmap = TestDomain.ScratchVa;
        d.Vcpu.IoBitmapPorts = 0x400;
        VcpuRegisters seen = Play(
            d, new VcpuExit { Operation = PrivilegedOperation.In, Port = port, Size = 1 }, kernel: false);
        Assert.Equal(allowed ? 0x1002 : FaultHandler, seen.Rip);
    }

    [Fact]
    public void ControlRegisters()
    {
        using TestDomain d = new();
        d.Cpu.Registers.TaskSwitched = 1;
        Assert.Equal(0x8005003bu,
            Play(d, new VcpuExit { Operation = PrivilegedOperation.ReadCr, Number = 0, Register = Gpr.Rbx })[Gpr.Rbx]);
        using TestDomain e = new();
        Assert.Equal(TestDomain.L4 << 12,
            Play(e, new VcpuExit { Operation = PrivilegedOperation.ReadCr, Number = 3, Register = Gpr.R15 })[Gpr.R15]);
        using TestDomain f = new();
        f.Cpu.Registers[Gpr.Rdx] = TestDomain.UserL4 << 12;
        Play(f, new VcpuExit { Operation = PrivilegedOperation.WriteCr, Number = 3, Register = Gpr.Rdx });
        Assert.Equal(TestDomain.UserL4, f.Cpu.KernelRoot);
    }

    [Fact]
    public void CpuidHidesWhatAPvGuestMayNotSee()
    {
        using TestDomain d = new(vcpus: 2);
        CpuidResult features = d.Domain.Cpuid.Get(1, 1, 0);
        const uint psePgeMtrr = 1 << 3 | 1 << 13 | 1 << 12 | 1 << 17;
        Assert.Equal(0u, features.Edx & psePgeMtrr);
        Assert.Equal(1u, features.Ebx >> 24);
        Assert.NotEqual(0u, features.Ecx & (1u << 31));
        Assert.NotEqual(0u, features.Ecx & (1u << 27));
        Assert.Equal(0u, features.Ecx & (1u << 17 | 1u << 21 | 1u << 24 | 1u << 5 | 1u << 3));
        CpuidResult structured = d.Domain.Cpuid.Get(0, 7, 0);
        Assert.Equal(0u, structured.Ebx & (1u << 7 | 1u << 20 | 1u << 10));
        Assert.Equal(0u, structured.Ecx & (1u << 3 | 1u << 2 | 1u << 16));
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 0xa, 0));
        Assert.Equal(1u, structured.Eax);
        Assert.Equal(0x30u, d.Domain.Cpuid.Get(0, 7, 1).Eax);
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 7, 2));
        Assert.Equal(0u, d.Domain.Cpuid.Get(0, 0x80000001, 0).Edx & (1u << 26 | 1u << 3));
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 0x80000007, 0));
        Assert.Equal(0xdu, d.Domain.Cpuid.Get(0, 0, 0).Eax);
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 0x16, 0));
    }

    [Fact]
    public void CpuidSaysOfAmdProcessorsThatTheyHaveNoWeaknesses()
    {
        using TestDomain d = new(prepare: e => e.CpuidAnswers[(0, 0)] = new CpuidResult(0x10, 0x68747541, 0x444d4163, 0x69746e65));
        const uint archCapabilities = 1 << 29, specCtrlOfIntel = 1 << 26, ibrs = 1 << 14, ssbNo = 1 << 26, btcNo = 1 << 29, srsoNo = 1 << 29;
        Assert.Equal(archCapabilities, d.Domain.Cpuid.Get(0, 7, 0).Edx & (archCapabilities | specCtrlOfIntel));
        Assert.Equal(ibrs | ssbNo | btcNo, d.Domain.Cpuid.Get(0, 0x80000008, 0).Ebx);
        Assert.Equal(0x80000021u, d.Domain.Cpuid.Get(0, 0x80000000, 0).Eax);
        Assert.Equal(new CpuidResult(srsoNo, 0, 6, 0), d.Domain.Cpuid.Get(0, 0x80000021, 0));
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 0x80000022, 0));
    }

    [Theory]
    [InlineData(0xe7u, 0xe7u, 2688u, 2432u)]
    [InlineData(0x47u, 7u, 832u, 832u)]
    [InlineData(7u, 7u, 832u, 832u)]
    public void ExtendedStateIsAsLargeAsWhatTheEngineHas(uint offered, uint shown, uint bytes, uint compacted)
    {
        using TestDomain d = new(prepare: e => e.CpuidAnswers[(0xd, 0)] = new CpuidResult(offered, 4096, 4096, 0));
        Assert.Equal(new CpuidResult(shown, bytes, bytes, 0), d.Domain.Cpuid.Get(0, 0xd, 0));
        Assert.Equal(new CpuidResult(7, compacted, 0, 0), d.Domain.Cpuid.Get(0, 0xd, 1));
        Assert.Equal(new CpuidResult(256, 576, 0, 0), d.Domain.Cpuid.Get(0, 0xd, 2));
        CpuidResult upper = shown == 7 ? default : new CpuidResult(512, 1152, 2, 0);
        Assert.Equal(upper, d.Domain.Cpuid.Get(0, 0xd, 6));
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 0xd, 9));
    }

    [Theory]
    [InlineData(1ul, true)]
    [InlineData(7ul, true)]
    [InlineData(0xe7ul, true)]
    [InlineData(6ul, false)] // x87 is always there
    [InlineData(5ul, false)] // AVX without SSE
    [InlineData(0x67ul, false)] // a part of AVX-512
    [InlineData(0xe3ul, false)] // AVX-512 without AVX
    [InlineData(0x207ul, false)] // protection keys
    [InlineData(1ul << 32 | 7, false)]
    public void XsetbvTakesWhatAProcessorTakes(ulong value, bool isTaken)
    {
        using TestDomain d = new();
        d.Cpu.Registers.Xcr0 = 3;
        d.Cpu.Registers[Gpr.Rcx] = 0;
        d.Cpu.Registers[Gpr.Rax] = (uint)value;
        d.Cpu.Registers[Gpr.Rdx] = value >> 32;
        VcpuRegisters after = Play(d, Op(PrivilegedOperation.Xsetbv));
        Assert.Equal(isTaken ? value : 3, after.Xcr0);
        Assert.Equal(isTaken ? 0x1002u : FaultHandler, after.Rip);
    }

    [Fact]
    public void XenLeavesSayPv()
    {
        using TestDomain d = new();
        CpuidResult signature = d.Domain.Cpuid.Get(0, 0x40000000, 0);
        Assert.Equal((0x40000005u, 0x566e6558u, 0x65584d4du, 0x4d4d566eu),
            (signature.Eax, signature.Ebx, signature.Ecx, signature.Edx));
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 0x40000004, 0));
        Assert.Equal(44u, d.Domain.Cpuid.Get(0, 0x40000005, 0).Ebx);
        Assert.Equal(default, d.Domain.Cpuid.Get(0, 0x40000100, 0));
    }

    [Fact]
    public void SingleStepTrapsAfterAnEmulatedInstruction()
    {
        using TestDomain d = new();
        d.Vcpu.Traps[1] = new TrapInfo { Vector = 1, Address = 0x7000 };
        d.Cpu.Registers.Rflags |= (ulong)Rflags.TF;
        Assert.Equal(0x7000u, Play(d, Op(PrivilegedOperation.Clts)).Rip);
        Assert.NotEqual(0u, d.Vcpu.Debug[6] & 0x4000);
    }
}
