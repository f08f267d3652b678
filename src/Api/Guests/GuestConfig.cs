using System;
using System.Collections.Generic;
using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Guests.Network;
using Ryokan.Api.Guests.Screen;
using Ryokan.Api.Wire;

namespace Ryokan.Api.Guests;

/// <summary>
/// What happens to a guest that powered off, rebooted or crashed (xl.cfg: on_poweroff, on_reboot, on_crash).
/// </summary>
public enum ShutdownAction
{
    /// <summary>Its process ends.</summary>
    Destroy,

    /// <summary>A new domain is made from the same description.</summary>
    Restart,

    /// <summary>It stays, stopped, until it is destroyed by hand.</summary>
    Preserve,

    /// <summary>
    /// It stays, stopped, under another name, and a new domain is made from the same description.
    /// </summary>
    RenameRestart,
}

/// <summary>A guest as its owner described it. Immutable; paths are absolute.</summary>
public sealed record GuestConfig
{
    public required string Name { get; init; }
    public required Guid Uuid { get; init; }

    /// <summary>Null when <see cref="Bootloader"/> finds it.</summary>
    public string? Kernel { get; init; }

    /// <summary>Null when the kernel is a file of the host.</summary>
    public BootloaderConfig? Bootloader { get; init; }

    public string? Ramdisk { get; init; }
    public string CommandLine { get; init; } = "";

    /// <summary>A file with user-data for cloud-init, which the guest gets as one more disk; or null.</summary>
    public string? CloudInit { get; init; }

    /// <summary>MiB that the guest starts with.</summary>
    public int MemoryMiB { get; init; } = 256;

    /// <summary>MiB that it can be given at most.</summary>
    public int MaxMemoryMiB { get; init; } = 256;

    /// <summary>vCPUs that are online at start.</summary>
    public int Vcpus { get; init; } = 1;
    public int MaxVcpus { get; init; } = 1;

    /// <summary>Where vCPUs may run, in this order; empty: anywhere.</summary>
    public IReadOnlyList<VcpuAffinity> Affinities { get => field ?? []; init; } = [];

    /// <summary>Share and limit of CPU time; null: as every domain's.</summary>
    public Scheduling? Scheduling { get; init; }

    /// <summary>Empty also when it was written by a version that knew none.</summary>
    public IReadOnlyList<DiskConfig> Disks { get => field ?? []; init; } = [];

    /// <inheritdoc cref="Disks"/>
    public IReadOnlyList<VifConfig> Vifs { get => field ?? []; init; } = [];

    /// <summary>Null: none.</summary>
    public VfbConfig? Screen { get; init; }

    public ShutdownAction OnPoweroff { get; init; } = ShutdownAction.Destroy;
    public ShutdownAction OnReboot { get; init; } = ShutdownAction.Restart;
    public ShutdownAction OnCrash { get; init; } = ShutdownAction.Destroy;
}
