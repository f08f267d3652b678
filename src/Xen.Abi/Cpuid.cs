namespace Ryokan.Xen.Abi;

/// <summary>The hypervisor CPUID leaves (arch-x86/cpuid.h).</summary>
public static class XenCpuid
{
    [CName("XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD")] public const uint Feat1MmuPtUpdatePreserveAd = 0x1;
    [CName("XEN_CPUID_MAX_NUM_LEAVES")] public const uint MaxNumLeaves = 0x5;
    [CName("XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK")] public const uint MachineAddressWidthMask = 0xff;
    [CName("XEN_CPUID_FIRST_LEAF")] public const uint FirstLeaf = 0x40000000;
    [CName("XEN_CPUID_SIGNATURE_EDX")] public const uint SignatureEdx = 0x4d4d566e;
    [CName("XEN_CPUID_SIGNATURE_EBX")] public const uint SignatureEbx = 0x566e6558;
    [CName("XEN_CPUID_SIGNATURE_ECX")] public const uint SignatureEcx = 0x65584d4d;
}

/// <summary>Bits of leaf +4 eax; all clear for a PV guest (arch-x86/cpuid.h).</summary>
public static class XenHvmCpuid
{
    [CName("XEN_HVM_CPUID_APIC_ACCESS_VIRT")] public const uint ApicAccessVirt = 0x1;
    [CName("XEN_HVM_CPUID_X2APIC_VIRT")] public const uint X2apicVirt = 0x2;
    [CName("XEN_HVM_CPUID_IOMMU_MAPPINGS")] public const uint IommuMappings = 0x4;
    [CName("XEN_HVM_CPUID_VCPU_ID_PRESENT")] public const uint VcpuIdPresent = 0x8;
    [CName("XEN_HVM_CPUID_DOMID_PRESENT")] public const uint DomidPresent = 0x10;
    [CName("XEN_HVM_CPUID_EXT_DEST_ID")] public const uint ExtDestId = 0x20;
    [CName("XEN_HVM_CPUID_UPCALL_VECTOR")] public const uint UpcallVector = 0x40;
}
