using System.Collections.Generic;

namespace Ryokan.Api.Wire;

/// <summary>PATCH /v1/domains/{domain}: what is to change; what is null stays.</summary>
public sealed record DomainSettings
{
    /// <summary>KiB that the guest is asked to balloon to (xm mem-set).</summary>
    public long? MemoryTargetKiB { get; init; }

    /// <summary>KiB that the guest can have at most (xm mem-max).</summary>
    public long? MemoryMaximumKiB { get; init; }

    /// <summary>vCPUs that the guest is asked to have online (xm vcpu-set).</summary>
    public int? OnlineVcpus { get; init; }

    /// <summary>Where vCPUs may run (xm vcpu-pin).</summary>
    public VcpuAffinity? Affinity { get; init; }

    /// <summary>Share of the CPU against other domains (xm sched-credit -w).</summary>
    public int? Weight { get; init; }

    /// <summary>Most CPU time, in percent of one host CPU; 0: no limit (xm sched-credit -c).</summary>
    public int? CapPercent { get; init; }
}

/// <param name="Vcpu">its number; null: every vCPU</param>
/// <param name="Cpus">numbers of host CPUs; null: all that the host has</param>
public sealed record VcpuAffinity(int? Vcpu, IReadOnlyList<int>? Cpus);

/// <summary>The credit scheduler's parameters of a domain, in Xen's units.</summary>
/// <param name="Weight">1 .. 65535</param>
/// <param name="CapPercent">percent of one host CPU; 0: no limit</param>
public sealed record Scheduling(int Weight, int CapPercent)
{
    public const int DefaultWeight = 256, MaxWeight = 65535;

    public static Scheduling Default { get; } = new(DefaultWeight, 0);
}

/// <summary>The answer to PATCH.</summary>
/// <param name="Note">one line for a person when something was done differently than asked; or null</param>
public sealed record SettingsResult(string? Note);
