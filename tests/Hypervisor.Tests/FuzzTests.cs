using System;
using Ryokan.Engine;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Tests;

/// <summary>Whatever a guest passes is answered, never thrown. A failure names its seed.</summary>
public sealed class FuzzTests
{
    private const int CallsPerSeed = 20_000;

    private static ulong Argument(Random random) => random.Next(8) switch
    {
        0 => (ulong)random.Next(40),
        1 or 2 => TestDomain.ScratchVa + (ulong)random.Next(4096),
        3 => (ulong)random.NextInt64(0, (long)TestDomain.Pages << 12),
        4 => Domid.Self,
        5 => ulong.MaxValue - (ulong)random.Next(4096),
        6 => 1ul << random.Next(64),
        _ => (ulong)random.NextInt64(),
    };

    /// <summary>Words that look like frame numbers, entries, commands and pointers.</summary>
    private static void Scatter(TestDomain d, Random random)
    {
        for (int i = 0; i < 8; i++)
        {
            ulong value = random.Next(4) == 0
                ? ((ulong)random.NextInt64(0, (long)TestDomain.Pages) << 12) + (ulong)random.Next(4096)
                : Argument(random);
            d.Put(TestDomain.ScratchVa + (ulong)random.Next(510) * 8, value);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20261122)]
    [InlineData(77)]
    public void RandomHypercallsNeverThrow(int seed)
    {
        Random random = new(seed);
        using TestDomain d = new(vcpus: 3);
        for (int i = 0; i < CallsPerSeed; i++)
        {
            Scatter(d, random);
            ulong number = random.Next(20) == 0 ? Argument(random) : (ulong)random.Next(64);
            ulong command = random.Next(2) == 0 ? (ulong)random.Next(30) : Argument(random);
            if (number is Hypercall.SchedOp && command is SchedOp.Block or SchedOp.Poll)
            {
                continue;
            }
            ulong count = random.Next(2) == 0 ? (ulong)random.Next(6) : Argument(random) & 0xfff;
            d.Call(number, command, count, Argument(random), Domid.Self);
            d.Call(number, command, Argument(random), Argument(random), Argument(random));
            d.Call(number, TestDomain.ScratchVa, count, 0, Domid.Self);
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    public void RandomExitsEndInAnAnswerOrACrashReport(int seed)
    {
        Random random = new(seed);
        for (int round = 0; round < 40; round++)
        {
            using TestDomain d = new();
            for (int i = 0; i < 256; i++)
            {
                d.Vcpu.Traps[i] = new TrapInfo { Vector = (byte)i, Flags = (byte)random.Next(8), Address = 0x1000 };
            }
            GuestStep[] steps = new GuestStep[200];
            Array.Fill(steps, cpu => RandomExit(cpu, random));
            d.Play(steps);
            Assert.DoesNotContain("monitor", d.Domain.Crash?.Reason ?? "", StringComparison.Ordinal);
        }
    }

    private static VcpuExit RandomExit(FakeVcpu cpu, Random random)
    {
        ref VcpuRegisters r = ref cpu.Registers;
        for (Gpr register = Gpr.Rax; register <= Gpr.R15; register++)
        {
            r[register] = Argument(random);
        }
        r[Gpr.Rsp] = TestDomain.KernelStackTop - (ulong)random.Next(1024);
        r.KernelMode = (byte)random.Next(2);
        ExitKind kind = (ExitKind)random.Next(7);
        if (kind == ExitKind.Hypercall)
        {
            kind = ExitKind.Kicked;
        }
        return new VcpuExit
        {
            Kind = kind,
            Vector = (byte)random.Next(256),
            Operation = (PrivilegedOperation)random.Next((int)PrivilegedOperation.Other + 1),
            ErrorCode = (uint)random.Next(),
            HasErrorCode = random.Next(2) == 0,
            Length = (byte)random.Next(16),
            Number = (byte)random.Next(16),
            Size = (byte)(1 << random.Next(3)),
            Register = (Gpr)random.Next(16),
            Port = (ushort)random.Next(65536),
            Address = Argument(random),
        };
    }
}
