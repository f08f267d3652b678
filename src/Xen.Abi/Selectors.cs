namespace Ryokan.Xen.Abi;

/// <summary>
/// Selectors that every guest GDT holds in its reserved tail (arch-x86/xen-x86_64.h, FLAT_*).
/// </summary>
public static class FlatSelector
{
    [CName("FLAT_KERNEL_DS")] public const ushort KernelDs = 0x0;
    [CName("FLAT_KERNEL_DS64")] public const ushort KernelDs64 = 0x0;
    [CName("FLAT_RING3_DS64")] public const ushort Ring3Ds64 = 0x0;
    [CName("FLAT_USER_DS")] public const ushort UserDs = 0x0;
    [CName("FLAT_USER_DS64")] public const ushort UserDs64 = 0x0;
    [CName("FLAT_KERNEL_CS32")] public const ushort KernelCs32 = 0xe023;
    [CName("FLAT_RING3_CS32")] public const ushort Ring3Cs32 = 0xe023;
    [CName("FLAT_USER_CS32")] public const ushort UserCs32 = 0xe023;
    [CName("FLAT_KERNEL_DS32")] public const ushort KernelDs32 = 0xe02b;
    [CName("FLAT_KERNEL_SS")] public const ushort KernelSs = 0xe02b;
    [CName("FLAT_KERNEL_SS32")] public const ushort KernelSs32 = 0xe02b;
    [CName("FLAT_KERNEL_SS64")] public const ushort KernelSs64 = 0xe02b;
    [CName("FLAT_RING3_DS32")] public const ushort Ring3Ds32 = 0xe02b;
    [CName("FLAT_RING3_SS32")] public const ushort Ring3Ss32 = 0xe02b;
    [CName("FLAT_RING3_SS64")] public const ushort Ring3Ss64 = 0xe02b;
    [CName("FLAT_USER_DS32")] public const ushort UserDs32 = 0xe02b;
    [CName("FLAT_USER_SS")] public const ushort UserSs = 0xe02b;
    [CName("FLAT_USER_SS32")] public const ushort UserSs32 = 0xe02b;
    [CName("FLAT_USER_SS64")] public const ushort UserSs64 = 0xe02b;
    [CName("FLAT_KERNEL_CS")] public const ushort KernelCs = 0xe033;
    [CName("FLAT_KERNEL_CS64")] public const ushort KernelCs64 = 0xe033;
    [CName("FLAT_RING3_CS64")] public const ushort Ring3Cs64 = 0xe033;
    [CName("FLAT_USER_CS")] public const ushort UserCs = 0xe033;
    [CName("FLAT_USER_CS64")] public const ushort UserCs64 = 0xe033;
}

/// <summary>First argument of set_segment_base (arch-x86/xen-x86_64.h).</summary>
public static class SegmentBase
{
    [CName("SEGBASE_FS")] public const uint Fs = 0;
    [CName("SEGBASE_GS_USER")] public const uint GsUser = 1;
    [CName("SEGBASE_GS_KERNEL")] public const uint GsKernel = 2;
    [CName("SEGBASE_GS_USER_SEL")] public const uint GsUserSel = 3;
}
