using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Result of XENVER_compile_info (version.h).</summary>
[CName("struct xen_compile_info")]
[StructLayout(LayoutKind.Sequential)]
public struct XenCompileInfo
{
    public Array64<byte> Compiler;
    public Array16<byte> CompileBy;
    public Array32<byte> CompileDomain;
    public Array32<byte> CompileDate;
}

/// <summary>Result of XENVER_platform_parameters (version.h).</summary>
[CName("struct xen_platform_parameters")]
[StructLayout(LayoutKind.Sequential)]
public struct XenPlatformParameters
{
    public ulong VirtStart;
}

/// <summary>Argument of XENVER_get_features (version.h).</summary>
[CName("struct xen_feature_info")]
[StructLayout(LayoutKind.Sequential)]
public struct XenFeatureInfo
{
    public uint SubmapIdx;

    /// <summary>Bits: <see cref="XenFeature"/>.</summary>
    public uint Submap;
}

/// <summary>Byte lengths of the strings that xen_version returns (version.h).</summary>
public static class XenVersionLength
{
    [CName("XEN_EXTRAVERSION_LEN")] public const int Extraversion = 16;
    [CName("XEN_CAPABILITIES_INFO_LEN")] public const int Capabilities = 1024;
    [CName("XEN_CHANGESET_INFO_LEN")] public const int Changeset = 64;
    [CName("sizeof(xen_commandline_t)")] public const int Commandline = 1024;
    [CName("sizeof(xen_domain_handle_t)")] public const int GuestHandle = 16;
}

/// <summary>First argument of xen_version (version.h).</summary>
public static class XenVersionOp
{
    [CName("XENVER_version")] public const uint Version = 0;
    [CName("XENVER_extraversion")] public const uint Extraversion = 1;
    [CName("XENVER_compile_info")] public const uint CompileInfo = 2;
    [CName("XENVER_capabilities")] public const uint Capabilities = 3;
    [CName("XENVER_changeset")] public const uint Changeset = 4;
    [CName("XENVER_platform_parameters")] public const uint PlatformParameters = 5;
    [CName("XENVER_get_features")] public const uint GetFeatures = 6;
    [CName("XENVER_pagesize")] public const uint Pagesize = 7;
    [CName("XENVER_guest_handle")] public const uint GuestHandle = 8;
    [CName("XENVER_commandline")] public const uint Commandline = 9;
    [CName("XENVER_build_id")] public const uint BuildId = 10;
}

/// <summary>Bit numbers of the feature map (features.h).</summary>
public static class XenFeature
{
    [CName("XENFEAT_writable_page_tables")] public const int WritablePageTables = 0;
    [CName("XENFEAT_NR_SUBMAPS")] public const int NrSubmaps = 1;
    [CName("XENFEAT_writable_descriptor_tables")] public const int WritableDescriptorTables = 1;
    [CName("XENFEAT_auto_translated_physmap")] public const int AutoTranslatedPhysmap = 2;
    [CName("XENFEAT_supervisor_mode_kernel")] public const int SupervisorModeKernel = 3;
    [CName("XENFEAT_pae_pgdir_above_4gb")] public const int PaePgdirAbove4gb = 4;
    [CName("XENFEAT_mmu_pt_update_preserve_ad")] public const int MmuPtUpdatePreserveAd = 5;
    [CName("XENFEAT_highmem_assist")] public const int HighmemAssist = 6;
    [CName("XENFEAT_gnttab_map_avail_bits")] public const int GnttabMapAvailBits = 7;
    [CName("XENFEAT_hvm_callback_vector")] public const int HvmCallbackVector = 8;
    [CName("XENFEAT_hvm_safe_pvclock")] public const int HvmSafePvclock = 9;
    [CName("XENFEAT_hvm_pirqs")] public const int HvmPirqs = 10;
    [CName("XENFEAT_dom0")] public const int Dom0 = 11;
    [CName("XENFEAT_memory_op_vnode_supported")] public const int MemoryOpVnodeSupported = 13;
    [CName("XENFEAT_ARM_SMCCC_supported")] public const int ArmSmcccSupported = 14;
    [CName("XENFEAT_linux_rsdp_unrestricted")] public const int LinuxRsdpUnrestricted = 15;
    [CName("XENFEAT_not_direct_mapped")] public const int NotDirectMapped = 16;
    [CName("XENFEAT_direct_mapped")] public const int DirectMapped = 17;
}
