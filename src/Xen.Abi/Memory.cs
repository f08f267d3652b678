using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Argument of increase_, decrease_reservation and populate_physmap (memory.h).</summary>
[CName("struct xen_memory_reservation")]
[StructLayout(LayoutKind.Sequential)]
public struct XenMemoryReservation
{
    /// <summary>Guest pointer to frame numbers.</summary>
    public ulong ExtentStart;
    public ulong NrExtents;
    public uint ExtentOrder;

    /// <summary><see cref="MemoryFlags"/>.</summary>
    public uint MemFlags;
    public ushort Domid;
}

/// <summary>Argument of XENMEM_exchange (memory.h).</summary>
[CName("struct xen_memory_exchange")]
[StructLayout(LayoutKind.Sequential)]
public struct XenMemoryExchange
{
    public XenMemoryReservation In;
    public XenMemoryReservation Out;
    public ulong NrExchanged;
}

/// <summary>Argument of XENMEM_machphys_mfn_list (memory.h).</summary>
[CName("struct xen_machphys_mfn_list")]
[StructLayout(LayoutKind.Sequential)]
public struct XenMachphysMfnList
{
    public uint MaxExtents;

    /// <summary>Guest pointer to frame numbers.</summary>
    public ulong ExtentStart;
    public uint NrExtents;
}

/// <summary>Result of XENMEM_machphys_mapping (memory.h).</summary>
[CName("struct xen_machphys_mapping")]
[StructLayout(LayoutKind.Sequential)]
public struct XenMachphysMapping
{
    public ulong VStart;
    public ulong VEnd;
    public ulong MaxMfn;
}

/// <summary>Argument of XENMEM_add_to_physmap (memory.h).</summary>
[CName("struct xen_add_to_physmap")]
[StructLayout(LayoutKind.Sequential)]
public struct XenAddToPhysmap
{
    public ushort Domid;
    public ushort Size;

    /// <summary><see cref="MapSpace"/>.</summary>
    public uint Space;
    public ulong Idx;
    public ulong Gpfn;
}

/// <summary>Argument of XENMEM_add_to_physmap_batch (memory.h).</summary>
[CName("struct xen_add_to_physmap_batch")]
[StructLayout(LayoutKind.Sequential)]
public struct XenAddToPhysmapBatch
{
    public ushort Domid;
    public ushort Space;
    public ushort Size;
    [CName("u.foreign_domid")] public ushort ForeignDomid;
    public ulong Idxs;
    public ulong Gpfns;
    public ulong Errs;
}

/// <summary>Argument of XENMEM_remove_from_physmap (memory.h).</summary>
[CName("struct xen_remove_from_physmap")]
[StructLayout(LayoutKind.Sequential)]
public struct XenRemoveFromPhysmap
{
    public ushort Domid;
    public ulong Gpfn;
}

/// <summary>Argument of XENMEM_memory_map (memory.h).</summary>
[CName("struct xen_memory_map")]
[StructLayout(LayoutKind.Sequential)]
public struct XenMemoryMap
{
    public uint NrEntries;

    /// <summary>Guest pointer to <see cref="E820Entry"/>.</summary>
    public ulong Buffer;
}

/// <summary>Argument of XENMEM_set_memory_map (memory.h).</summary>
[CName("struct xen_foreign_memory_map")]
[StructLayout(LayoutKind.Sequential)]
public struct XenForeignMemoryMap
{
    public ushort Domid;
    public XenMemoryMap Map;
}

/// <summary>
/// One entry of the BIOS memory map, 20 bytes, packed (ACPI specification, INT 15h E820h).
/// </summary>
[CName("struct boot_e820_entry")]
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct E820Entry
{
    public ulong Addr;
    public ulong Size;

    /// <summary>1 RAM, 2 reserved, 3 ACPI, 4 NVS, 5 unusable.</summary>
    public uint Type;
}

/// <summary>Argument of XENMEM_acquire_resource (memory.h).</summary>
[CName("struct xen_mem_acquire_resource")]
[StructLayout(LayoutKind.Sequential)]
public struct XenMemAcquireResource
{
    public ushort Domid;
    public ushort Type;
    public uint Id;
    public uint NrFrames;
    public uint Pad;
    public ulong Frame;
    public ulong FrameList;
}

/// <summary>One memory range of a virtual NUMA node (memory.h).</summary>
[CName("struct xen_vmemrange")]
[StructLayout(LayoutKind.Sequential)]
public struct XenVmemrange
{
    public ulong Start;
    public ulong End;
    public uint Flags;
    public uint Nid;
}

/// <summary>Argument of XENMEM_get_vnumainfo (memory.h).</summary>
[CName("struct xen_vnuma_topology_info")]
[StructLayout(LayoutKind.Sequential)]
public struct XenVnumaTopologyInfo
{
    public ushort Domid;
    public ushort Pad;
    public uint NrVnodes;
    public uint NrVcpus;
    public uint NrVmemranges;
    public ulong Vdistance;
    public ulong VcpuToVnode;
    public ulong Vmemrange;
}

/// <summary>First argument of memory_op (memory.h).</summary>
public static class MemoryOp
{
    [CName("XENMEM_increase_reservation")] public const uint IncreaseReservation = 0;
    [CName("XENMEM_decrease_reservation")] public const uint DecreaseReservation = 1;
    [CName("XENMEM_maximum_ram_page")] public const uint MaximumRamPage = 2;
    [CName("XENMEM_current_reservation")] public const uint CurrentReservation = 3;
    [CName("XENMEM_maximum_reservation")] public const uint MaximumReservation = 4;
    [CName("XENMEM_machphys_mfn_list")] public const uint MachphysMfnList = 5;
    [CName("XENMEM_populate_physmap")] public const uint PopulatePhysmap = 6;
    [CName("XENMEM_add_to_physmap")] public const uint AddToPhysmap = 7;
    [CName("XENMEM_memory_map")] public const uint MemoryMap = 9;
    [CName("XENMEM_machine_memory_map")] public const uint MachineMemoryMap = 10;
    [CName("XENMEM_exchange")] public const uint Exchange = 11;
    [CName("XENMEM_machphys_mapping")] public const uint MachphysMapping = 12;
    [CName("XENMEM_set_memory_map")] public const uint SetMemoryMap = 13;
    [CName("XENMEM_maximum_gpfn")] public const uint MaximumGpfn = 14;
    [CName("XENMEM_remove_from_physmap")] public const uint RemoveFromPhysmap = 15;
    [CName("XENMEM_set_pod_target")] public const uint SetPodTarget = 16;
    [CName("XENMEM_get_pod_target")] public const uint GetPodTarget = 17;
    [CName("XENMEM_get_sharing_freed_pages")] public const uint GetSharingFreedPages = 18;
    [CName("XENMEM_get_sharing_shared_pages")] public const uint GetSharingSharedPages = 19;
    [CName("XENMEM_paging_op")] public const uint PagingOp = 20;
    [CName("XENMEM_access_op")] public const uint AccessOp = 21;
    [CName("XENMEM_sharing_op")] public const uint SharingOp = 22;
    [CName("XENMEM_add_to_physmap_batch")] public const uint AddToPhysmapBatch = 23;
    [CName("XENMEM_claim_pages")] public const uint ClaimPages = 24;
    [CName("XENMEM_machphys_compat_mfn_list")] public const uint MachphysCompatMfnList = 25;
    [CName("XENMEM_get_vnumainfo")] public const uint GetVnumainfo = 26;
    [CName("XENMEM_reserved_device_memory_map")] public const uint ReservedDeviceMemoryMap = 27;
    [CName("XENMEM_acquire_resource")] public const uint AcquireResource = 28;
}

/// <summary>
/// Bits of <see cref="XenMemoryReservation.MemFlags"/>; bits 7:0 are an address width, 15:8 a node + 1
/// (memory.h, XENMEMF_*).
/// </summary>
public static class MemoryFlags
{
    [CName("XENMEMF_populate_on_demand")] public const uint PopulateOnDemand = 0x10000;
    [CName("XENMEMF_exact_node_request")] public const uint ExactNodeRequest = 0x20000;
    [CName("XENMEMF_vnode")] public const uint Vnode = 0x40000;
}

/// <summary>Values of <see cref="XenAddToPhysmap.Space"/> (memory.h, XENMAPSPACE_*).</summary>
public static class MapSpace
{
    [CName("XENMAPSPACE_shared_info")] public const uint SharedInfo = 0;
    [CName("XENMAPSPACE_grant_table")] public const uint GrantTable = 1;
    [CName("XENMAPSPACE_gmfn")] public const uint Gmfn = 2;
    [CName("XENMAPSPACE_gmfn_range")] public const uint GmfnRange = 3;
    [CName("XENMAPSPACE_gmfn_foreign")] public const uint GmfnForeign = 4;
    [CName("XENMAPSPACE_dev_mmio")] public const uint DevMmio = 5;
}

/// <summary>Bits of <see cref="XenAddToPhysmap.Idx"/> (memory.h, XENMAPIDX_*).</summary>
public static class MapIndex
{
    [CName("XENMAPIDX_grant_table_status")] public const ulong GrantTableStatus = 0x80000000;
}
