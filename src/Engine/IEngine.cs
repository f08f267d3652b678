using System;
using Ryokan.X86;

namespace Ryokan.Engine;

/// <summary>A way to execute guest code; one per domain. All vCPUs share the domain's frames.</summary>
public interface IEngine : IDisposable
{
    /// <summary>Adds a vCPU. Its state is zero; call from any thread, run it from one thread at a time.</summary>
    IVcpu CreateVcpu(int id, IVcpuHost host);

    /// <summary>What this engine can execute, in CPUID terms; monitor policy is laid over it.</summary>
    CpuidResult Cpuid(uint leaf, uint subleaf);

    /// <summary>
    /// Drops cached translations of addresses on the vCPUs of the mask (bit n = vCPU id n): of one page
    /// when <paramref name="va"/> is given, else all. Complete on return; may be called by a vCPU's own
    /// thread outside <see cref="IVcpu.Run"/>.
    /// </summary>
    void FlushTlb(ulong vcpuMask, ulong? va);

    /// <summary>The time-stamp counter as the guest's own RDTSC reads it at this moment. Any thread.</summary>
    ulong ReadTsc();
}

/// <summary>What the engine asks of the monitor for one vCPU, always on the vCPU's own thread.</summary>
public interface IVcpuHost
{
    /// <summary>
    /// The raw 8-byte descriptor that a selector names in the GDT or LDT in force.
    /// False when the selector is outside the table or its frame is gone.
    /// </summary>
    bool TryReadDescriptor(ushort selector, out ulong descriptor);
}

public enum AccessKind : byte
{
    Read, Write, Execute,
}

/// <summary>One virtual CPU. All members but <see cref="Kick"/> belong to the thread that runs it.</summary>
public interface IVcpu
{
    int Id { get; }

    ref VcpuRegisters Registers { get; }

    /// <summary>
    /// Runs guest code until something needs the monitor. A pending <see cref="Kick"/> makes it return at
    /// once with <see cref="ExitKind.Kicked"/>.
    /// </summary>
    void Run(out VcpuExit exit);

    /// <summary>Makes <see cref="Run"/> return within microseconds; any thread. Sticky until a Run returns Kicked.</summary>
    void Kick();

    /// <summary>mfn of the L4 table used in kernel mode. Setting it drops translations of the lower half.</summary>
    ulong KernelRoot { get; set; }

    /// <summary>mfn of the L4 table used in user mode; 0 when there is none. Setting it drops user translations.</summary>
    ulong UserRoot { get; set; }

    void FlushTlb();

    void FlushPage(ulong va);

    /// <summary>
    /// Reads guest virtual memory as the guest kernel would (kernel root). False, with the fault that the
    /// guest would take, when any byte is not accessible. Page-crossing is fine.
    /// </summary>
    bool TryRead(ulong va, Span<byte> destination, out VcpuExit fault);

    /// <summary>Writes guest virtual memory as the guest kernel would; nothing is written on failure.</summary>
    bool TryWrite(ulong va, ReadOnlySpan<byte> source, out VcpuExit fault);

    /// <summary>Machine address behind a virtual address by the tables of the given mode; no access bits are set.</summary>
    bool TryTranslate(ulong va, bool kernelMode, out ulong maddr, out ulong leafEntry);

    /// <summary>
    /// Floating-point, vector and mask state in the XSAVE standard format: 512-byte legacy area, 64-byte header,
    /// then each component where CPUID leaf 0Dh of the engine says; <see cref="XsaveSize"/> bytes.
    /// </summary>
    void ReadXsave(Span<byte> destination);

    void WriteXsave(ReadOnlySpan<byte> source);

    int XsaveSize { get; }
}

/// <summary>The part of the upper half that is the hypervisor's in every guest table (Xen: L4 slots 256-271).</summary>
/// <param name="Start">first address of the hole</param>
/// <param name="End">first address after it</param>
/// <param name="WindowHost">host address of what kernel mode may read at <see cref="WindowStart"/>: the m2p table</param>
/// <param name="WindowBytes">its length, a multiple of 4096</param>
public readonly record struct HypervisorHole(ulong Start, ulong End, nint WindowHost, ulong WindowBytes)
{
    /// <summary>Guest address of the window, page aligned; the start of the hole unless said otherwise.</summary>
    public ulong WindowStart { get; init; } = Start;
}
