using System;
using Ryokan.Engine;
using Ryokan.GuestMemory;

namespace Ryokan.Hypervisor;

/// <summary>What a domain is made of. Immutable; the frames and the engine then belong to the domain.</summary>
public sealed record DomainOptions
{
    /// <summary>Domain id as the guest sees it; 1 .. 0x7fef.</summary>
    public required int DomainId { get; init; }

    public required string Name { get; init; }

    public required Guid Uuid { get; init; }

    /// <summary>All frames the domain can ever have: RamFrames is maxmem.</summary>
    public required GuestFrames Frames { get; init; }

    /// <summary>Makes the engine over the frames; the hole holds the m2p table.</summary>
    public required Func<GuestFrames, HypervisorHole, IEngine> CreateEngine { get; init; }

    /// <summary>vCPUs that exist (1 .. 32); only vCPU 0 is up at start, the guest brings up the others.</summary>
    public int Vcpus { get; init; } = 1;

    /// <summary>
    /// Frames populated at start, pfn 0 .. InitialPages-1; the rest can be ballooned in.
    /// 0: all of <see cref="GuestFrames.RamFrames"/>.
    /// </summary>
    public ulong InitialPages { get; init; }

    /// <summary>Receives what the guest writes by console_io (before its console driver runs). Any vCPU's thread.</summary>
    public IConsoleSink? EarlyConsole { get; init; }

    /// <summary>First line of defence in diagnosis: names the hypercalls of each vCPU in a crash report.</summary>
    public bool TraceHypercalls { get; init; } = true;
}

/// <summary>Takes bytes a guest wrote; must not block for long and must bound what it keeps.</summary>
public interface IConsoleSink
{
    void Write(ReadOnlySpan<byte> text);
}
