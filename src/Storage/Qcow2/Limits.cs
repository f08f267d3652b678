namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Bounds on what an image, which may come from anybody, can make us hold or do. Where QEMU has a bound, it
/// is
/// QEMU's: what one accepts the other does too.
/// </summary>
internal static class Limits
{
    public const ulong L1Bytes = 32 << 20, RefcountTableBytes = 8 << 20;

    /// <summary>64 PiB: what the offsets of L1 and L2 entries can name.</summary>
    public const ulong FileBytes = 1UL << 56;

    public const ulong DiskBytes = long.MaxValue & ~511L;

    public const int BackingNameBytes = 1023, BackingDepth = 64;

    /// <summary>The snapshot table and, together, the L1 tables of all snapshots.</summary>
    public const int Snapshots = 65536;
    public const ulong SnapshotTableBytes = 64 << 20, SnapshotL1Bytes = 64 << 20;

    /// <summary>Clusters of the largest file whose reference counts are counted again: 4 bytes
    /// each.</summary>
    public const ulong RecountedClusters = 128 << 20;

    /// <summary>Each of the two caches of tables, in bytes and at least so many tables.</summary>
    public const int CacheBytes = 16 << 20, CacheTables = 8;

    /// <summary>So many clusters are allocated and written at once.</summary>
    public const ulong WriteRunBytes = 4 << 20;
}
