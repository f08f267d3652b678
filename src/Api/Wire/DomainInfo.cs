using System;
using System.Collections.Generic;

namespace Ryokan.Api.Wire;

/// <summary>What a domain does at the moment.</summary>
public enum RunState
{
    Running, Blocked, Paused, Shutdown, Crashed, Dying,
}

/// <summary>One vCPU of a domain.</summary>
/// <param name="Id">its number</param>
/// <param name="Activity">running, blocked, paused or offline</param>
/// <param name="CpuSeconds">host CPU time of its thread</param>
/// <param name="Processor">host CPU that it runs on or ran on last</param>
/// <param name="Affinity">host CPUs that it may run on; null: all</param>
public sealed record VcpuInfo(
    int Id, VcpuActivity Activity, double CpuSeconds, int? Processor = null,
    IReadOnlyList<int>? Affinity = null);

public enum VcpuActivity
{
    Running, Blocked, Paused, Offline,
}

/// <summary>A domain as lists show it.</summary>
public sealed record DomainInfo
{
    public required int Id { get; init; }
    public required string Name { get; init; }
    public required Guid Uuid { get; init; }
    public required RunState State { get; init; }

    /// <summary>MiB populated now.</summary>
    public required int MemoryMiB { get; init; }
    public required int MaxMemoryMiB { get; init; }

    /// <summary>Host CPU time of all vCPUs.</summary>
    public required double CpuSeconds { get; init; }
    public required DateTimeOffset Started { get; init; }
    public required IReadOnlyList<VcpuInfo> Vcpus { get; init; }
    public Scheduling Scheduling { get; init; } = Scheduling.Default;

    /// <summary>Why the monitor paused it by itself, one line; null when it did not.</summary>
    public string? PauseReason { get; init; }

    /// <summary>Null: it has none that could be looked at.</summary>
    public ScreenInfo? Screen { get; init; }

    /// <summary>The process that runs it.</summary>
    public required int ProcessId { get; init; }
}
