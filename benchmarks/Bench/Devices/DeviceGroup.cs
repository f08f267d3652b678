using System.Collections.Generic;

namespace Ryokan.Bench.Devices;

/// <summary>Device rows that are run in one go.</summary>
/// <param name="Name">The name for <c>--only</c>, the name of the job and of the image.</param>
/// <param name="Note">What the figures are, below the heading.</param>
internal sealed record DeviceGroup(
    string Name, string Title, string Note, int MemoryMebibytes, IReadOnlyList<DeviceRow> Rows)
{
    public const string DiskName = "disk", Qcow2Prefix = "qcow2-", NetworkName = "network",
        ServicesName = "services", DebianBootName = "debian-boot";

    /// <summary>The host's figure through its page cache, for the disk rows.</summary>
    public const string CachedSystem = "native, cached";

    public static IReadOnlyList<DeviceGroup> All { get; } =
    [
        new(DiskName, "Disk", "fio, direct, on a warm file of 1 GiB: 4 requests under way for 1 MiB, 16 for the"
            + " others. native: the same command on the host, on the same file; its page cache is what both guests'"
            + " disks go through, so the host's figure without direct stands beside.", 512,
            [.. DiskRows("", 0.6), .. DiskRows(Qcow2Prefix, null)]),
        new(NetworkName, "Network", "iperf3 for four seconds each way and the median of 1000 pings, between a guest of"
            + " one vCPU and the host's side of a bridge. native: from another network namespace on the same bridge.",
            384,
            [
                new("sends", "guest sends", Unit.BitsPerSecond, 2),
                new("receives", "guest receives", Unit.BitsPerSecond, 2),
                new("ping", "ping, round trip", Unit.Seconds, 2, AtMost: 150e-6),
            ]),
        new(DebianBootName, "Debian", "Debian 12 with systemd on a disk of its own: from the command to the login"
            + " prompt on the console; the same kernel and ramdisk, each start on a fresh overlay of the same qcow2"
            + " image.", 512,
            [new("login", "login prompt", Unit.Seconds, 5)]),
        new(ServicesName, "Services", "In a guest of one vCPU and on the host out of the same tree: PostgreSQL 15 on a"
            + " memory file system with pgbench (4 clients, scale 1), nginx with ab (8 connections, 4 KiB) on the"
            + " loopback.", 768,
            [
                new("initdb", "initdb", Unit.Seconds, 5),
                new("pgbench-select", "pgbench, select only, prepared", Unit.PerSecond, 5),
                new("pgbench-tpcb", "pgbench, TPC-B", Unit.PerSecond, 5),
                new("nginx-keepalive", "nginx, connections kept", Unit.PerSecond, 5),
                new("nginx-connections", "nginx, a connection for each request", Unit.PerSecond, 5),
            ]),
    ];

    private static DeviceRow[] DiskRows(string prefix, double? largePart)
    {
        string suffix = prefix.Length == 0 ? ", raw" : ", qcow2";
        return
        [
            new(prefix + "read-1M", "sequential read, 1 MiB" + suffix, Unit.BytesPerSecond, 2, largePart),
            new(prefix + "write-1M", "sequential write, 1 MiB" + suffix, Unit.BytesPerSecond, 2, largePart),
            new(prefix + "random-read-64K", "random read, 64 KiB" + suffix, Unit.BytesPerSecond, 2, largePart),
            new(prefix + "random-write-64K", "random write, 64 KiB" + suffix, Unit.BytesPerSecond, 2, largePart),
            new(prefix + "random-read-4K", "random read, 4 KiB" + suffix, Unit.BytesPerSecond, 2),
            new(prefix + "random-write-4K", "random write, 4 KiB" + suffix, Unit.BytesPerSecond, 2),
        ];
    }
}
