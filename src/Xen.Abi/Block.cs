using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>One piece of a block request, within one frame (io/blkif.h).</summary>
[CName("struct blkif_request_segment")]
[StructLayout(LayoutKind.Sequential)]
public struct BlkifRequestSegment
{
    public uint Gref;

    /// <summary>In 512-byte units, inclusive.</summary>
    public byte FirstSect;
    public byte LastSect;
}

/// <summary>A read, write or flush request; 112 bytes (io/blkif.h).</summary>
[CName("struct blkif_request")]
[StructLayout(LayoutKind.Sequential)]
public struct BlkifRequest
{
    /// <summary><see cref="BlkifOp"/>.</summary>
    public byte Operation;
    public byte NrSegments;
    public ushort Handle;
    public ulong Id;

    /// <summary>In 512-byte units.</summary>
    public ulong SectorNumber;
    public Array11<BlkifRequestSegment> Seg;
}

/// <summary>A discard request (io/blkif.h).</summary>
[CName("struct blkif_request_discard")]
[StructLayout(LayoutKind.Sequential)]
public struct BlkifRequestDiscard
{
    public byte Operation;

    /// <summary><see cref="BlkifDiscard"/>.</summary>
    public byte Flag;
    public ushort Handle;
    public ulong Id;
    public ulong SectorNumber;
    public ulong NrSectors;
}

/// <summary>A request whose segments stand in pages of their own (io/blkif.h).</summary>
[CName("struct blkif_request_indirect")]
[StructLayout(LayoutKind.Sequential)]
public struct BlkifRequestIndirect
{
    public byte Operation;
    public byte IndirectOp;
    public ushort NrSegments;
    public ulong Id;
    public ulong SectorNumber;
    public ushort Handle;
    public Array8<uint> IndirectGrefs;
}

/// <summary>The answer to a block request; 16 bytes (io/blkif.h).</summary>
[CName("struct blkif_response")]
[StructLayout(LayoutKind.Sequential)]
public struct BlkifResponse
{
    public ulong Id;
    public byte Operation;

    /// <summary><see cref="BlkifResult"/>.</summary>
    public short Status;
}

/// <summary>Values of <see cref="BlkifRequest.Operation"/> (io/blkif.h).</summary>
public static class BlkifOp
{
    [CName("BLKIF_OP_READ")] public const byte Read = 0;
    [CName("BLKIF_OP_WRITE")] public const byte Write = 1;
    [CName("BLKIF_OP_WRITE_BARRIER")] public const byte WriteBarrier = 2;
    [CName("BLKIF_OP_FLUSH_DISKCACHE")] public const byte FlushDiskcache = 3;
    [CName("BLKIF_OP_RESERVED_1")] public const byte Reserved1 = 4;
    [CName("BLKIF_OP_DISCARD")] public const byte Discard = 5;
    [CName("BLKIF_OP_INDIRECT")] public const byte Indirect = 6;
}

/// <summary>Values of <see cref="BlkifResponse.Status"/> (io/blkif.h, BLKIF_RSP_*).</summary>
public static class BlkifResult
{
    [CName("BLKIF_RSP_EOPNOTSUPP")] public const short Eopnotsupp = -2;
    [CName("BLKIF_RSP_ERROR")] public const short Error = -1;
    [CName("BLKIF_RSP_OKAY")] public const short Okay = 0;
}

/// <summary>Counts that the block protocol fixes (io/blkif.h).</summary>
public static class BlkifLimits
{
    [CName("BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST")] public const int MaxIndirectPagesPerRequest = 8;
    [CName("BLKIF_MAX_SEGMENTS_PER_REQUEST")] public const int MaxSegmentsPerRequest = 11;
}

/// <summary>Bits of <see cref="BlkifRequestDiscard.Flag"/> (io/blkif.h).</summary>
public static class BlkifDiscard
{
    [CName("BLKIF_DISCARD_SECURE")] public const byte Secure = 1;
}

/// <summary>Bits of a disk's "info" node (io/blkif.h, VDISK_*).</summary>
public static class VdiskInfo
{
    [CName("VDISK_CDROM")] public const uint Cdrom = 0x1;
    [CName("VDISK_REMOVABLE")] public const uint Removable = 0x2;
    [CName("VDISK_READONLY")] public const uint Readonly = 0x4;
}
