using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>One request of mmu_update (xen.h).</summary>
[CName("struct mmu_update")]
[StructLayout(LayoutKind.Sequential)]
public struct MmuUpdate
{
    /// <summary>Machine address of the entry; bits 1:0 <see cref="MmuUpdateCommand"/>.</summary>
    public ulong Ptr;
    public ulong Val;
}

/// <summary>One request of mmuext_op; 24 bytes (xen.h).</summary>
[CName("struct mmuext_op")]
[StructLayout(LayoutKind.Explicit, Size = 24)]
public struct MmuextOp
{
    /// <summary><see cref="MmuextCommand"/>.</summary>
    [FieldOffset(0)] public uint Cmd;
    [FieldOffset(8)] [CName("arg1.mfn")] public ulong Mfn;
    [FieldOffset(8)] [CName("arg1.linear_addr")] public ulong LinearAddr;
    [FieldOffset(16)] [CName("arg2.nr_ents")] public uint NrEnts;

    /// <summary>Guest pointer to a vCPU bitmap.</summary>
    [FieldOffset(16)] [CName("arg2.vcpumask")] public ulong VcpuMask;
    [FieldOffset(16)] [CName("arg2.src_mfn")] public ulong SrcMfn;
}

/// <summary>Low two bits of <see cref="MmuUpdate.Ptr"/> (xen.h).</summary>
public static class MmuUpdateCommand
{
    [CName("MMU_NORMAL_PT_UPDATE")] public const uint NormalPtUpdate = 0;
    [CName("MMU_MACHPHYS_UPDATE")] public const uint MachphysUpdate = 1;
    [CName("MMU_PT_UPDATE_PRESERVE_AD")] public const uint PtUpdatePreserveAd = 2;
    [CName("MMU_PT_UPDATE_NO_TRANSLATE")] public const uint PtUpdateNoTranslate = 3;
}

/// <summary>Values of <see cref="MmuextOp.Cmd"/> (xen.h).</summary>
public static class MmuextCommand
{
    [CName("MMUEXT_PIN_L1_TABLE")] public const uint PinL1Table = 0;
    [CName("MMUEXT_PIN_L2_TABLE")] public const uint PinL2Table = 1;
    [CName("MMUEXT_PIN_L3_TABLE")] public const uint PinL3Table = 2;
    [CName("MMUEXT_PIN_L4_TABLE")] public const uint PinL4Table = 3;
    [CName("MMUEXT_UNPIN_TABLE")] public const uint UnpinTable = 4;
    [CName("MMUEXT_NEW_BASEPTR")] public const uint NewBaseptr = 5;
    [CName("MMUEXT_TLB_FLUSH_LOCAL")] public const uint TlbFlushLocal = 6;
    [CName("MMUEXT_INVLPG_LOCAL")] public const uint InvlpgLocal = 7;
    [CName("MMUEXT_TLB_FLUSH_MULTI")] public const uint TlbFlushMulti = 8;
    [CName("MMUEXT_INVLPG_MULTI")] public const uint InvlpgMulti = 9;
    [CName("MMUEXT_TLB_FLUSH_ALL")] public const uint TlbFlushAll = 10;
    [CName("MMUEXT_INVLPG_ALL")] public const uint InvlpgAll = 11;
    [CName("MMUEXT_FLUSH_CACHE")] public const uint FlushCache = 12;
    [CName("MMUEXT_SET_LDT")] public const uint SetLdt = 13;
    [CName("MMUEXT_NEW_USER_BASEPTR")] public const uint NewUserBaseptr = 15;
    [CName("MMUEXT_CLEAR_PAGE")] public const uint ClearPage = 16;
    [CName("MMUEXT_COPY_PAGE")] public const uint CopyPage = 17;
    [CName("MMUEXT_FLUSH_CACHE_GLOBAL")] public const uint FlushCacheGlobal = 18;
    [CName("MMUEXT_MARK_SUPER")] public const uint MarkSuper = 19;
    [CName("MMUEXT_UNMARK_SUPER")] public const uint UnmarkSuper = 20;
}

/// <summary>
/// Third argument of update_va_mapping; any other bits are a guest pointer to a vCPU bitmap (xen.h,
/// UVMF_*).
/// </summary>
public static class UpdateVaMappingFlags
{
    [CName("UVMF_LOCAL")] public const ulong Local = 0;
    [CName("UVMF_MULTI")] public const ulong Multi = 0;
    [CName("UVMF_NONE")] public const ulong None = 0;
    [CName("UVMF_TLB_FLUSH")] public const ulong TlbFlush = 1;
    [CName("UVMF_INVLPG")] public const ulong Invlpg = 2;
    [CName("UVMF_FLUSHTYPE_MASK")] public const ulong FlushtypeMask = 3;
    [CName("UVMF_ALL")] public const ulong All = 4;
}
