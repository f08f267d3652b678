using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Hypercalls;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Tests;

/// <summary>A small domain over <see cref="FakeEngine"/>, with helpers to lay out memory and call.</summary>
internal sealed class TestDomain : IDisposable, IConsoleSink
{
    public const ulong Pages = 1024;

    /// <summary>Frames by purpose; frame n is at address n * 4096.</summary>
    public const ulong Scratch = 0x10, KernelStack = 0x20, UserStack = 0x21, L4 = 0x30, UserL4 = 0x31;

    public const ulong ScratchVa = Scratch << 12;
    public const ulong KernelStackTop = (KernelStack + 1) << 12;
    public const ulong UserStackTop = (UserStack + 1) << 12;

    /// <summary>An address that maps to nothing.</summary>
    public const ulong BadVa = 0x7000_0000_0000;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly StringBuilder _console = new();

    public readonly Domain Domain;
    public readonly FakeEngine Engine;

    /// <param name="vcpus">how many</param>
    /// <param name="initialPages">of the domain</param>
    /// <param name="prepare">sets what the engine answers</param>
    public TestDomain(int vcpus = 1, ulong initialPages = 0, Action<FakeEngine>? prepare = null)
    {
        GuestFrames frames = new(Pages);
        FakeEngine? engine = null;
        Domain = new Domain(new DomainOptions
        {
            DomainId = 7,
            Name = "test",
            Uuid = new Guid("00112233-4455-6677-8899-aabbccddeeff"),
            Frames = frames,
            CreateEngine = (f, _) =>
            {
                engine = new FakeEngine(f);
                prepare?.Invoke(engine);
                return engine;
            },
            Vcpus = vcpus,
            InitialPages = initialPages,
            EarlyConsole = this,
        });
        Engine = engine!;
        Domain.SetInitialState(0x1000, KernelStackTop, 0x2000, L4);
    }

    public Vcpu Vcpu => Domain.Vcpu(0);

    public FakeVcpu Cpu => Engine.Vcpus[0];

    public GuestFrames Frames => Domain.Frames;

    public string Console => _console.ToString();

    public void Write(ReadOnlySpan<byte> text) => _console.Append(Encoding.ASCII.GetString(text));

    public long Call(ulong number, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0) =>
        HypercallTable.Invoke(Vcpu, number, a1, a2, a3, a4, 0);

    public void Put<T>(ulong va, T value)
        where T : unmanaged =>
        Frames.TryWrite(va, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    public T Get<T>(ulong va)
        where T : unmanaged
    {
        Unsafe.SkipInit(out T value);
        Frames.TryRead(va, MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return value;
    }

    /// <summary>Calls with one argument structure, placed in the scratch page.</summary>
    public long CallWith<T>(ulong number, ulong command, T argument)
        where T : unmanaged
    {
        Put(ScratchVa, argument);
        return Call(number, command, ScratchVa);
    }

    /// <summary>Plays the steps on vCPU 0 of the started domain, then powers off.</summary>
    public void Play(params GuestStep[] steps)
    {
        foreach (GuestStep step in steps)
        {
            Cpu.Script.Enqueue(step);
        }
        Cpu.Script.Enqueue(PowerOff);
        Domain.Start();
        if (Domain.WaitForShutdown(s_patience) == null)
        {
            throw new TimeoutException("the script did not end");
        }
        while (!Vcpu.IsQuiet)
        {
            Thread.Sleep(1);
        }
    }

    public static GuestStep Hypercall(ulong number, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0) => cpu =>
    {
        cpu.Registers[Gpr.Rax] = number;
        cpu.Registers[Gpr.Rdi] = a1;
        cpu.Registers[Gpr.Rsi] = a2;
        cpu.Registers[Gpr.Rdx] = a3;
        return new VcpuExit { Kind = ExitKind.Hypercall };
    };

    private VcpuExit PowerOff(FakeVcpu cpu)
    {
        Put(0xff0UL + ScratchVa, 0u);
        return Hypercall(Xen.Abi.Hypercall.SchedOp, SchedOp.Shutdown, ScratchVa + 0xff0)(cpu);
    }

    public void Dispose() => Domain.Dispose();
}
