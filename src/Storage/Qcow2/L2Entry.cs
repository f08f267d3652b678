using System;

namespace Ryokan.Storage.Qcow2;

/// <summary>What an L2 entry says of a guest cluster.</summary>
internal enum ClusterKind
{
    /// <summary>Read from the backing file, or zeroes.</summary>
    Unallocated,

    /// <summary>Zeroes; there may be a host cluster in reserve.</summary>
    Zero,

    /// <summary>A host cluster of its own.</summary>
    Data,

    Compressed,
}

/// <summary>An entry of an L2 table, "Cluster mapping" in docs/interop/qcow2.txt of QEMU.</summary>
internal readonly record struct L2Entry(ulong Raw)
{
    private const ulong Copied = 1UL << 63, CompressedBit = 1UL << 62, ZeroBit = 1;

    public static L2Entry Data(ulong hostOffset) => new(hostOffset | Copied);

    public static L2Entry Zero => new(ZeroBit);

    public static L2Entry Unallocated => default;

    public ClusterKind Kind =>
        (Raw & CompressedBit) != 0 ? ClusterKind.Compressed
        : (Raw & ZeroBit) != 0 ? ClusterKind.Zero
        : HostOffset != 0 ? ClusterKind.Data
        : ClusterKind.Unallocated;

    /// <summary>Of <see cref="ClusterKind.Data"/> and <see cref="ClusterKind.Zero"/>; 0 when there is
    /// none.</summary>
    public ulong HostOffset => Raw & Geometry.OffsetMask;

    /// <summary>Nobody else refers to the host cluster: it may be written in place.</summary>
    public bool IsCopied => (Raw & Copied) != 0;

    public L2Entry WithCopied(bool copied) => new(copied ? Raw | Copied : Raw & ~Copied);

    /// <summary>Where compressed data lies in the file, in bytes; not aligned to anything.</summary>
    public (ulong Offset, int Length) CompressedRange(Geometry geometry)
    {
        int bits = 62 - (geometry.ClusterBits - 8);
        ulong offset = Raw & ((1UL << bits) - 1) & ((1UL << 56) - 1);
        ulong sectors = ((Raw & (CompressedBit - 1)) >> bits) + 1;
        return (offset, (int)(sectors * 512 - (offset & 511)));
    }
}
