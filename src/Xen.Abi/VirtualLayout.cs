namespace Ryokan.Xen.Abi;

/// <summary>
/// The hypervisor's part of a 64-bit PV guest's address space and of its GDT (arch-x86/xen.h,
/// arch-x86/xen-x86_64.h).
/// </summary>
public static class VirtualLayout
{
    [CName("FIRST_RESERVED_GDT_PAGE")] public const ulong FirstReservedGdtPage = 0xe;
    [CName("FIRST_RESERVED_GDT_ENTRY")] public const ulong FirstReservedGdtEntry = 0x1c00;
    [CName("FIRST_RESERVED_GDT_BYTE")] public const ulong FirstReservedGdtByte = 0xe000;
    [CName("MACH2PHYS_NR_ENTRIES")] public const ulong Mach2physNrEntries = 0x800000000;
    [CName("HYPERVISOR_VIRT_START")] public const ulong HypervisorVirtStart = 0xffff800000000000;
    [CName("MACH2PHYS_VIRT_START")] public const ulong Mach2physVirtStart = 0xffff800000000000;
    [CName("MACH2PHYS_VIRT_END")] public const ulong Mach2physVirtEnd = 0xffff804000000000;
    [CName("HYPERVISOR_VIRT_END")] public const ulong HypervisorVirtEnd = 0xffff880000000000;
}
