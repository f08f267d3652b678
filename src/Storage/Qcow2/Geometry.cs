namespace Ryokan.Storage.Qcow2;

/// <summary>The sizes that follow from an image's header; powers of two, kept as their logarithms.</summary>
/// <param name="ClusterBits">bytes of a cluster: 9 to 21</param>
/// <param name="RefcountOrder">bits of a reference count: 0 to 6</param>
internal readonly record struct Geometry(int ClusterBits, int RefcountOrder)
{
    public const int MinClusterBits = 9, MaxClusterBits = 21, MaxRefcountOrder = 6;

    /// <summary>Bits 9-55 of L1 and L2 entries.</summary>
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;

    public int ClusterBytes => 1 << ClusterBits;

    public ulong OffsetInCluster(ulong offset) => offset & ((1UL << ClusterBits) - 1);

    public ulong ClusterOf(ulong offset) => offset >> ClusterBits;

    public ulong OffsetOf(ulong cluster) => cluster << ClusterBits;

    public ulong ClustersFor(ulong bytes) => (bytes >> ClusterBits) + (OffsetInCluster(bytes) != 0 ? 1UL : 0);

    /// <summary>Entries of an L2 table: 8 bytes each, one cluster.</summary>
    public int L2Bits => ClusterBits - 3;

    public int L2Entries => 1 << L2Bits;

    /// <summary>Entries of a refcount block: one cluster.</summary>
    public int RefcountBlockBits => ClusterBits + 3 - RefcountOrder;

    public ulong RefcountBlockEntries => 1UL << RefcountBlockBits;

    public ulong MaxRefcount => RefcountOrder == 6 ? ulong.MaxValue : (1UL << (1 << RefcountOrder)) - 1;

    /// <summary>L1 entries that a disk of that size needs.</summary>
    public ulong L1EntriesFor(ulong diskBytes)
    {
        ulong clusters = ClustersFor(diskBytes);
        return (clusters >> L2Bits) + ((clusters & ((1UL << L2Bits) - 1)) != 0 ? 1UL : 0);
    }
}
