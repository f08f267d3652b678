using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>One grant of version 1; 8 bytes, 512 a frame (grant_table.h).</summary>
[CName("struct grant_entry_v1")]
[StructLayout(LayoutKind.Sequential)]
public struct GrantEntryV1
{
    /// <summary><see cref="GrantFlags"/>.</summary>
    public ushort Flags;
    public ushort Domid;

    /// <summary>mfn of a PV guest, gfn else.</summary>
    public uint Frame;
}

/// <summary>One grant of version 2; 16 bytes (grant_table.h).</summary>
[CName("union grant_entry_v2")]
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct GrantEntryV2
{
    [FieldOffset(0)] [CName("hdr.flags")] public ushort Flags;
    [FieldOffset(2)] [CName("hdr.domid")] public ushort Domid;
    [FieldOffset(4)] [CName("sub_page.page_off")] public ushort PageOffset;
    [FieldOffset(6)] [CName("sub_page.length")] public ushort Length;
    [FieldOffset(8)] [CName("full_page.frame")] public ulong Frame;
    [FieldOffset(4)] [CName("transitive.trans_domid")] public ushort TransDomid;
    [FieldOffset(8)] [CName("transitive.gref")] public uint TransGref;
}

/// <summary>Argument of GNTTABOP_map_grant_ref (grant_table.h).</summary>
[CName("struct gnttab_map_grant_ref")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabMapGrantRef
{
    public ulong HostAddr;

    /// <summary><see cref="GrantMapFlags"/>.</summary>
    public uint Flags;
    public uint Ref;
    public ushort Dom;
    public short Status;
    public uint Handle;
    public ulong DevBusAddr;
}

/// <summary>Argument of GNTTABOP_unmap_grant_ref (grant_table.h).</summary>
[CName("struct gnttab_unmap_grant_ref")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabUnmapGrantRef
{
    public ulong HostAddr;
    public ulong DevBusAddr;
    public uint Handle;
    public short Status;
}

/// <summary>Argument of GNTTABOP_setup_table (grant_table.h).</summary>
[CName("struct gnttab_setup_table")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabSetupTable
{
    public ushort Dom;
    public uint NrFrames;
    public short Status;

    /// <summary>Guest pointer to frame numbers.</summary>
    public ulong FrameList;
}

/// <summary>Argument of GNTTABOP_dump_table (grant_table.h).</summary>
[CName("struct gnttab_dump_table")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabDumpTable
{
    public ushort Dom;
    public short Status;
}

/// <summary>Argument of GNTTABOP_transfer (grant_table.h).</summary>
[CName("struct gnttab_transfer")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabTransfer
{
    public ulong Mfn;
    public ushort Domid;
    public uint Ref;
    public short Status;
}

/// <summary>Source or destination of <see cref="GnttabCopy"/> (grant_table.h).</summary>
[CName("struct gnttab_copy_ptr")]
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct GnttabCopyPtr
{
    [FieldOffset(0)] [CName("u.ref")] public uint Ref;
    [FieldOffset(0)] [CName("u.gmfn")] public ulong Gmfn;
    [FieldOffset(8)] public ushort Domid;
    [FieldOffset(10)] public ushort Offset;
}

/// <summary>Argument of GNTTABOP_copy; 40 bytes (grant_table.h).</summary>
[CName("struct gnttab_copy")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabCopy
{
    public GnttabCopyPtr Source;
    public GnttabCopyPtr Dest;
    public ushort Len;

    /// <summary><see cref="GrantCopyFlags"/>.</summary>
    public ushort Flags;
    public short Status;
}

/// <summary>Argument of GNTTABOP_query_size (grant_table.h).</summary>
[CName("struct gnttab_query_size")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabQuerySize
{
    public ushort Dom;
    public uint NrFrames;
    public uint MaxNrFrames;
    public short Status;
}

/// <summary>Argument of GNTTABOP_unmap_and_replace (grant_table.h).</summary>
[CName("struct gnttab_unmap_and_replace")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabUnmapAndReplace
{
    public ulong HostAddr;
    public ulong NewAddr;
    public uint Handle;
    public short Status;
}

/// <summary>Argument of GNTTABOP_set_version (grant_table.h).</summary>
[CName("struct gnttab_set_version")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabSetVersion
{
    public uint Version;
}

/// <summary>Argument of GNTTABOP_get_status_frames (grant_table.h).</summary>
[CName("struct gnttab_get_status_frames")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabGetStatusFrames
{
    public uint NrFrames;
    public ushort Dom;
    public short Status;
    public ulong FrameList;
}

/// <summary>Argument of GNTTABOP_get_version (grant_table.h).</summary>
[CName("struct gnttab_get_version")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabGetVersion
{
    public ushort Dom;
    public ushort Pad;
    public uint Version;
}

/// <summary>Argument of GNTTABOP_swap_grant_ref (grant_table.h).</summary>
[CName("struct gnttab_swap_grant_ref")]
[StructLayout(LayoutKind.Sequential)]
public struct GnttabSwapGrantRef
{
    public uint RefA;
    public uint RefB;
    public short Status;
}

/// <summary>Argument of GNTTABOP_cache_flush (grant_table.h).</summary>
[CName("struct gnttab_cache_flush")]
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct GnttabCacheFlush
{
    [FieldOffset(0)] [CName("a.dev_bus_addr")] public ulong DevBusAddr;
    [FieldOffset(0)] [CName("a.ref")] public uint Ref;
    [FieldOffset(8)] public ushort Offset;
    [FieldOffset(10)] public ushort Length;
    [FieldOffset(12)] public uint Op;
}

/// <summary>First argument of grant_table_op (grant_table.h).</summary>
public static class GrantTableOp
{
    [CName("GNTTABOP_map_grant_ref")] public const uint MapGrantRef = 0;
    [CName("GNTTABOP_unmap_grant_ref")] public const uint UnmapGrantRef = 1;
    [CName("GNTTABOP_setup_table")] public const uint SetupTable = 2;
    [CName("GNTTABOP_dump_table")] public const uint DumpTable = 3;
    [CName("GNTTABOP_transfer")] public const uint Transfer = 4;
    [CName("GNTTABOP_copy")] public const uint Copy = 5;
    [CName("GNTTABOP_query_size")] public const uint QuerySize = 6;
    [CName("GNTTABOP_unmap_and_replace")] public const uint UnmapAndReplace = 7;
    [CName("GNTTABOP_set_version")] public const uint SetVersion = 8;
    [CName("GNTTABOP_get_status_frames")] public const uint GetStatusFrames = 9;
    [CName("GNTTABOP_get_version")] public const uint GetVersion = 10;
    [CName("GNTTABOP_swap_grant_ref")] public const uint SwapGrantRef = 11;
    [CName("GNTTABOP_cache_flush")] public const uint CacheFlush = 12;
}

/// <summary>Bits of <see cref="GrantEntryV1.Flags"/> (grant_table.h, GTF_*).</summary>
public static class GrantFlags
{
    [CName("GTF_invalid")] public const ushort Invalid = 0x0;
    [CName("GTF_permit_access")] public const ushort PermitAccess = 0x1;
    [CName("GTF_accept_transfer")] public const ushort AcceptTransfer = 0x2;
    [CName("GTF_transitive")] public const ushort Transitive = 0x3;
    [CName("GTF_type_mask")] public const ushort TypeMask = 0x3;
    [CName("GTF_readonly")] public const ushort Readonly = 0x4;
    [CName("GTF_transfer_committed")] public const ushort TransferCommitted = 0x4;
    [CName("GTF_reading")] public const ushort Reading = 0x8;
    [CName("GTF_transfer_completed")] public const ushort TransferCompleted = 0x8;
    [CName("GTF_writing")] public const ushort Writing = 0x10;
    [CName("GTF_PWT")] public const ushort Pwt = 0x20;
    [CName("GTF_PCD")] public const ushort Pcd = 0x40;
    [CName("GTF_PAT")] public const ushort Pat = 0x80;
    [CName("GTF_sub_page")] public const ushort SubPage = 0x100;
}

/// <summary>Entries with a fixed meaning (grant_table.h, GNTTAB_*RESERVED*).</summary>
public static class GrantReserved
{
    [CName("GNTTAB_RESERVED_CONSOLE")] public const uint ReservedConsole = 0;
    [CName("GNTTAB_RESERVED_XENSTORE")] public const uint ReservedXenstore = 1;
    [CName("GNTTAB_NR_RESERVED_ENTRIES")] public const uint NrReservedEntries = 8;
}

/// <summary>Bits of <see cref="GnttabMapGrantRef.Flags"/> (grant_table.h, GNTMAP_*).</summary>
public static class GrantMapFlags
{
    [CName("GNTMAP_device_map")] public const uint DeviceMap = 0x1;
    [CName("GNTMAP_host_map")] public const uint HostMap = 0x2;
    [CName("GNTMAP_readonly")] public const uint Readonly = 0x4;
    [CName("GNTMAP_application_map")] public const uint ApplicationMap = 0x8;
    [CName("GNTMAP_contains_pte")] public const uint ContainsPte = 0x10;
    [CName("GNTMAP_guest_avail_mask")] public const uint GuestAvailMask = 0xffff0000;
}

/// <summary>Bits of <see cref="GnttabCopy.Flags"/> (grant_table.h, GNTCOPY_*).</summary>
public static class GrantCopyFlags
{
    [CName("GNTCOPY_source_gref")] public const ushort SourceGref = 0x1;
    [CName("GNTCOPY_dest_gref")] public const ushort DestGref = 0x2;
}

/// <summary>The status field that grant operations write (grant_table.h, GNTST_*).</summary>
public static class GrantStatus
{
    [CName("GNTST_no_space")] public const short NoSpace = -13;
    [CName("GNTST_eagain")] public const short Eagain = -12;
    [CName("GNTST_address_too_big")] public const short AddressTooBig = -11;
    [CName("GNTST_bad_copy_arg")] public const short BadCopyArg = -10;
    [CName("GNTST_bad_page")] public const short BadPage = -9;
    [CName("GNTST_permission_denied")] public const short PermissionDenied = -8;
    [CName("GNTST_no_device_space")] public const short NoDeviceSpace = -7;
    [CName("GNTST_bad_dev_addr")] public const short BadDevAddr = -6;
    [CName("GNTST_bad_virt_addr")] public const short BadVirtAddr = -5;
    [CName("GNTST_bad_handle")] public const short BadHandle = -4;
    [CName("GNTST_bad_gntref")] public const short BadGntref = -3;
    [CName("GNTST_bad_domain")] public const short BadDomain = -2;
    [CName("GNTST_general_error")] public const short GeneralError = -1;
    [CName("GNTST_okay")] public const short Okay = 0;
}

/// <summary>Bits of <see cref="GnttabCacheFlush.Op"/> (grant_table.h).</summary>
public static class GrantCacheFlushOp
{
    [CName("GNTTAB_CACHE_CLEAN")] public const uint Clean = 0x1;
    [CName("GNTTAB_CACHE_INVAL")] public const uint Inval = 0x2;
    [CName("GNTTAB_CACHE_SOURCE_GREF")] public const uint SourceGref = 0x80000000;
}
