using System;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using Ryokan.Engine;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Tests;

/// <summary>Start, pause, block, poll, other vCPUs, and every way to end.</summary>
public sealed class LifecycleTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private static void Until(Func<bool> condition)
    {
        Assert.True(SpinWait.SpinUntil(condition, s_patience));
    }

    [Theory]
    [InlineData(0u, ShutdownReason.Poweroff)]
    [InlineData(1u, ShutdownReason.Reboot)]
    [InlineData(2u, ShutdownReason.Suspend)]
    [InlineData(3u, ShutdownReason.Crash)]
    [InlineData(99u, ShutdownReason.Crash)]
    public void GuestShutsDownWithAReason(uint code, ShutdownReason reason)
    {
        using TestDomain d = new();
        int raised = 0;
        d.Domain.ShutDown += r => raised += r == reason ? 1 : 100;
        d.Put(TestDomain.ScratchVa, code);
        d.Cpu.Script.Enqueue(TestDomain.Hypercall(Hypercall.SchedOp, SchedOp.Shutdown, TestDomain.ScratchVa));
        d.Domain.Start();
        Assert.Equal(reason, d.Domain.WaitForShutdown(s_patience));
        Assert.Equal(1, raised);
        Assert.Equal(DomainState.ShutDown, d.Domain.State);
        Assert.Equal(reason == ShutdownReason.Crash, d.Domain.Crash != null);
    }

    [Fact]
    public void DestroyEndsARunningGuest()
    {
        using TestDomain d = new(vcpus: 2);
        d.Domain.Start();
        Assert.Equal(DomainState.Running, d.Domain.State);
        Assert.Null(d.Domain.WaitForShutdown(TimeSpan.FromMilliseconds(20)));
        d.Domain.Destroy();
        Assert.Equal(ShutdownReason.Destroyed, d.Domain.WaitForShutdown(s_patience));
    }

    [Fact]
    public void PausedGuestRunsNothing()
    {
        using TestDomain d = new();
        int steps = 0;
        for (int i = 0; i < 3; i++)
        {
            d.Cpu.Script.Enqueue(cpu =>
            {
                Interlocked.Increment(ref steps);
                return default;
            });
        }
        d.Domain.Start(paused: true);
        Thread.Sleep(30);
        Assert.Equal((0, DomainState.Paused), (steps, d.Domain.State));
        Assert.Equal(VcpuActivity.Paused, d.Domain.VcpuStatus[0].Activity);
        d.Domain.Unpause();
        Until(() => Volatile.Read(ref steps) == 3);
        d.Domain.Pause();
        Assert.True(d.Vcpu.IsQuiet);
        d.Cpu.Script.Enqueue(cpu =>
        {
            Interlocked.Increment(ref steps);
            return default;
        });
        Thread.Sleep(30);
        Assert.Equal(3, steps);
    }

    [Fact]
    public void BlockReturnsWhenTheTimerFires()
    {
        using TestDomain d = new();
        const ulong delay = 30_000_000;
        Assert.Equal(0, d.Domain.Events.BindVirq(Virq.Timer, 0, out _));
        d.Vcpu.EventCallback = new Vcpus.Callback(0x9000, true);
        Stopwatch watch = new();
        TimeSpan waited = default;
        d.Play(
            cpu =>
            {
                watch.Start();
                d.Put(TestDomain.ScratchVa, new VcpuSetSingleshotTimer { TimeoutAbsNs = d.Domain.Time.Now() + delay });
                return TestDomain.Hypercall(
                    Hypercall.VcpuOp, VcpuOp.SetSingleshotTimer, 0, TestDomain.ScratchVa)(cpu);
            },
            TestDomain.Hypercall(Hypercall.SchedOp, SchedOp.Block),
            cpu =>
            {
                waited = watch.Elapsed;
                Assert.Equal(0x9000u, cpu.Registers.Rip);
                return default;
            });
        Assert.Null(d.Domain.Crash);
        Assert.InRange(waited.TotalMilliseconds, 29, 2000);
    }

    [Fact]
    public void BlockedGuestWakesOnAnEventFromABackEnd()
    {
        using TestDomain d = new();
        uint port = d.Domain.AllocateBackendPort(() => { });
        Assert.Equal(1u, port);
        bool woke = false;
        d.Cpu.Script.Enqueue(TestDomain.Hypercall(Hypercall.SchedOp, SchedOp.Block));
        d.Cpu.Script.Enqueue(_ =>
        {
            Volatile.Write(ref woke, true);
            return default;
        });
        d.Domain.Start();
        Until(() => d.Domain.VcpuStatus[0].Activity == VcpuActivity.Blocked);
        Assert.False(woke);
        d.Domain.NotifyGuest(port);
        Until(() => Volatile.Read(ref woke));
    }

    [Fact]
    public void PollReturnsForAMaskedPortAndForTime()
    {
        using TestDomain d = new();
        uint port = d.Domain.AllocateBackendPort(() => { });
        d.Put(TestDomain.ScratchVa + 0x100, port);
        d.Put(TestDomain.ScratchVa, new SchedPoll { Ports = TestDomain.ScratchVa + 0x100, NrPorts = 1 });
        // Masked in the two-level ABI.
        d.Put((d.Domain.SharedInfoMfn << 12) + 2560, 1ul << (int)port);
        bool returned = false;
        d.Cpu.Script.Enqueue(TestDomain.Hypercall(Hypercall.SchedOp, SchedOp.Poll, TestDomain.ScratchVa));
        d.Cpu.Script.Enqueue(cpu =>
        {
            Volatile.Write(ref returned, true);
            d.Put(TestDomain.ScratchVa, new SchedPoll
            {
                Ports = TestDomain.ScratchVa + 0x100, NrPorts = 0, Timeout = d.Domain.Time.Now() + 20_000_000,
            });
            return TestDomain.Hypercall(Hypercall.SchedOp, SchedOp.Poll, TestDomain.ScratchVa)(cpu);
        });
        bool timedOut = false;
        d.Cpu.Script.Enqueue(_ =>
        {
            Volatile.Write(ref timedOut, true);
            return default;
        });
        d.Domain.Start();
        Until(() => d.Domain.VcpuStatus[0].Activity == VcpuActivity.Blocked);
        Assert.False(returned);
        d.Domain.NotifyGuest(port);
        Until(() => Volatile.Read(ref returned));
        Until(() => Volatile.Read(ref timedOut));
    }

    [Fact]
    public void SecondVcpuStartsFromItsContextAndGoesDown()
    {
        using TestDomain d = new(vcpus: 2);
        const ulong at = 0x80 << 12;
        VcpuGuestContext context = new() { Flags = VcpuGuestContextFlags.InKernel, GsBaseKernel = 0x5000 };
        context.Ctrlreg[3] = TestDomain.L4 << 12;
        context.UserRegs.Rip = 0xabc;
        context.UserRegs.Cs = 0x10;
        d.Put(at, context);
        VcpuRegisters seen = default;
        int steps = 0;
        d.Engine.Vcpus[1].Script.Enqueue(cpu =>
        {
            seen = cpu.Registers;
            Interlocked.Increment(ref steps);
            return TestDomain.Hypercall(Hypercall.VcpuOp, VcpuOp.Down, 1)(cpu);
        });
        int flushes = 0;
        d.Engine.Vcpus[1].Script.Enqueue(cpu =>
        {
            // A kernel does not tell CPUs that are offline what it unmaps.
            flushes = cpu.LocalFlushes.Count(f => f == null);
            Interlocked.Increment(ref steps);
            return default;
        });
        d.Domain.Start();
        Assert.Equal(VcpuActivity.Offline, d.Domain.VcpuStatus[1].Activity);
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.Initialise, 1, at));
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.Up, 1));
        Until(() => Volatile.Read(ref steps) == 1 && d.Call(Hypercall.VcpuOp, VcpuOp.IsUp, 1) == 0);
        Assert.Equal((0xabcul, 0x5000ul, TestDomain.L4), (seen.Rip, seen.GsBase, d.Engine.Vcpus[1].KernelRoot));
        Assert.Equal(0x13, seen.Selectors[(int)SegmentRegister.Cs]);
        Assert.Equal(0x37f, BitConverter.ToUInt16(d.Engine.Vcpus[1].Xsave, 0));
        Assert.Equal(0, d.Call(Hypercall.VcpuOp, VcpuOp.Up, 1));
        Until(() => Volatile.Read(ref steps) == 2);
        Assert.Equal(2, flushes);
        Assert.Equal(1, d.Call(Hypercall.VcpuOp, VcpuOp.IsUp, 1));
    }

    [Fact]
    public void LastVcpuDownIsPowerOff()
    {
        using TestDomain d = new(vcpus: 2);
        d.Cpu.Script.Enqueue(TestDomain.Hypercall(Hypercall.VcpuOp, VcpuOp.Down, 0));
        d.Domain.Start();
        Assert.Equal(ShutdownReason.Poweroff, d.Domain.WaitForShutdown(s_patience));
    }

    [Fact]
    public void WatchdogEndsTheDomain()
    {
        using TestDomain d = new();
        d.Domain.Start();
        Assert.Equal(-Errno.EINVAL, d.CallWith(Hypercall.SchedOp, SchedOp.Watchdog, new SchedWatchdog()));
        Assert.Equal(1, d.CallWith(Hypercall.SchedOp, SchedOp.Watchdog, new SchedWatchdog { Timeout = 60 }));
        Assert.Equal(2, d.CallWith(Hypercall.SchedOp, SchedOp.Watchdog, new SchedWatchdog { Timeout = 1 }));
        Assert.Equal(-Errno.ENOSPC, d.CallWith(Hypercall.SchedOp, SchedOp.Watchdog, new SchedWatchdog { Timeout = 1 }));
        Assert.Equal(0, d.CallWith(Hypercall.SchedOp, SchedOp.Watchdog, new SchedWatchdog { Id = 1 }));
        Assert.Equal(ShutdownReason.Watchdog, d.Domain.WaitForShutdown(s_patience));
    }

    [Fact]
    public void NmiIsDeliveredOnceUntilIret()
    {
        using TestDomain d = new();
        d.Vcpu.Traps[2] = new TrapInfo { Vector = 2, Address = 0x6000 };
        ulong[] rips = new ulong[3];
        d.Play(
            cpu =>
            {
                d.Domain.SendNmi(0);
                return default;
            },
            cpu =>
            {
                rips[0] = cpu.Registers.Rip;
                cpu.Registers.Rip = 1;
                d.Domain.SendNmi(0);
                return default;
            },
            cpu =>
            {
                rips[1] = cpu.Registers.Rip;
                d.Put(TestDomain.ScratchVa, new IretContext { Rip = 2, Cs = 0xe030, Rsp = TestDomain.KernelStackTop });
                cpu.Registers[Gpr.Rsp] = TestDomain.ScratchVa;
                cpu.Registers[Gpr.Rax] = Hypercall.Iret;
                return new VcpuExit { Kind = ExitKind.Hypercall };
            },
            cpu =>
            {
                rips[2] = cpu.Registers.Rip;
                return default;
            });
        Assert.Equal([0x6000ul, 1ul, 0x6000ul], rips);
    }

    [Fact]
    public void MonitorErrorsEndTheDomainWithAReport()
    {
        using TestDomain d = new();
        d.Cpu.Script.Enqueue(static _ => throw new InvalidCastException("a bug"));
        d.Domain.Start();
        Assert.Equal(ShutdownReason.Crash, d.Domain.WaitForShutdown(s_patience));
        Assert.Contains("a bug", d.Domain.Crash!.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void BadOptionsAreNamed()
    {
        using GuestMemory.GuestFrames frames = new(16);
        DomainOptions options = new()
        {
            DomainId = 1, Name = "x", Uuid = default, Frames = frames, CreateEngine = (f, _) => new FakeEngine(f),
        };
        Assert.Throws<ArgumentException>(() => new Domain(options with { Vcpus = 0 }));
        Assert.Throws<ArgumentException>(() => new Domain(options with { Vcpus = 33 }));
        Assert.Throws<ArgumentException>(() => new Domain(options with { InitialPages = 17 }));
        Assert.Throws<ArgumentException>(() => new Domain(options with { DomainId = 0x7ff0 }));
    }
}
