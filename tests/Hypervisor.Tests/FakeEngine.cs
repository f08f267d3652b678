using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Hypervisor.Tests;

/// <summary>One scripted stretch of guest code: changes the registers, says how it ended.</summary>
internal delegate VcpuExit GuestStep(FakeVcpu cpu);

/// <summary>An engine that executes nothing: its vCPUs play scripts. Virtual addresses are machine addresses.</summary>
internal sealed class FakeEngine(GuestFrames frames) : IEngine
{
    public readonly GuestFrames Frames = frames;
    public readonly List<FakeVcpu> Vcpus = [];
    public readonly ConcurrentQueue<(ulong Mask, ulong? Va)> Flushes = new();

    /// <summary>Answers of CPUID; what is not here is all ones.</summary>
    public readonly Dictionary<(uint Leaf, uint Subleaf), CpuidResult> CpuidAnswers = new()
    {
        [(0, 0)] = new CpuidResult(0x1f, 0x756e6547, 0x6c65746e, 0x49656e69),
        [(0xd, 2)] = new CpuidResult(256, 576, 0, 0),
        [(0xd, 5)] = new CpuidResult(64, 1088, 0, 0),
        [(0xd, 6)] = new CpuidResult(512, 1152, 2, 0),
        [(0xd, 7)] = new CpuidResult(1024, 1664, 2, 0),
    };

    public IVcpu CreateVcpu(int id, IVcpuHost host)
    {
        FakeVcpu cpu = new(this, id, host);
        Vcpus.Add(cpu);
        return cpu;
    }

    public CpuidResult Cpuid(uint leaf, uint subleaf) =>
        CpuidAnswers.TryGetValue((leaf, subleaf), out CpuidResult result)
            ? result : new CpuidResult(uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue);

    public void FlushTlb(ulong vcpuMask, ulong? va) => Flushes.Enqueue((vcpuMask, va));

    public ulong ReadTsc() => (ulong)Stopwatch.GetTimestamp();

    public void Dispose()
    {
    }
}

internal sealed class FakeVcpu(FakeEngine engine, int id, IVcpuHost host) : IVcpu
{
    private readonly ManualResetEventSlim _kick = new();
    private VcpuRegisters _registers;

    /// <summary>Steps still to be played; with none left the guest runs for ever, until it is kicked.</summary>
    public readonly ConcurrentQueue<GuestStep> Script = new();
    public readonly List<ulong?> LocalFlushes = [];
    public readonly IVcpuHost Host = host;
    public byte[] Xsave = new byte[832];

    public int Id { get; } = id;

    public ref VcpuRegisters Registers => ref _registers;

    public ulong KernelRoot { get; set; }

    public ulong UserRoot { get; set; }

    public int XsaveSize => Xsave.Length;

    public void Run(out VcpuExit exit)
    {
        exit = new VcpuExit { Kind = ExitKind.Kicked };
        if (_kick.IsSet)
        {
            _kick.Reset();
        }
        else if (Script.TryDequeue(out GuestStep? step))
        {
            exit = step(this);
        }
        else
        {
            _kick.Wait();
            _kick.Reset();
        }
    }

    public void Kick() => _kick.Set();

    public void FlushTlb() => LocalFlushes.Add(null);

    public void FlushPage(ulong va) => LocalFlushes.Add(va);

    public bool TryRead(ulong va, Span<byte> destination, out VcpuExit fault)
    {
        fault = VcpuExit.PageFault(va, PageFaultError.None);
        return engine.Frames.TryRead(va, destination);
    }

    public bool TryWrite(ulong va, ReadOnlySpan<byte> source, out VcpuExit fault)
    {
        fault = VcpuExit.PageFault(va, PageFaultError.Write);
        Span<byte> probe = stackalloc byte[1];
        ulong last = va + (ulong)Math.Max(source.Length - 1, 0);
        return engine.Frames.TryRead(va, probe) && engine.Frames.TryRead(last, probe)
            && engine.Frames.TryWrite(va, source);
    }

    public bool TryTranslate(ulong va, bool kernelMode, out ulong maddr, out ulong leafEntry)
    {
        maddr = va;
        leafEntry = (va & PageTableEntry.AddressMask) | PageTableEntry.Present;
        return engine.Frames.IndexOf(va >> GuestFrames.PageShift) >= 0;
    }

    public void ReadXsave(Span<byte> destination) => Xsave.CopyTo(destination);

    public void WriteXsave(ReadOnlySpan<byte> source) => Xsave = source.ToArray();
}
