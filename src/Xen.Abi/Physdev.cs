using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Argument of PHYSDEVOP_eoi (physdev.h).</summary>
[CName("struct physdev_eoi")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevEoi
{
    public uint Irq;
}

/// <summary>Argument of PHYSDEVOP_pirq_eoi_gmfn_v1/_v2 (physdev.h).</summary>
[CName("struct physdev_pirq_eoi_gmfn")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevPirqEoiGmfn
{
    public ulong Gmfn;
}

/// <summary>Argument of PHYSDEVOP_irq_status_query (physdev.h).</summary>
[CName("struct physdev_irq_status_query")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevIrqStatusQuery
{
    public uint Irq;

    /// <summary><see cref="IrqStatus"/>.</summary>
    public uint Flags;
}

/// <summary>Argument of PHYSDEVOP_set_iopl (physdev.h).</summary>
[CName("struct physdev_set_iopl")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevSetIopl
{
    public uint Iopl;
}

/// <summary>Argument of PHYSDEVOP_set_iobitmap (physdev.h).</summary>
[CName("struct physdev_set_iobitmap")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevSetIobitmap
{
    /// <summary>Guest pointer; a set bit denies the port.</summary>
    public ulong Bitmap;
    public uint NrPorts;
}

/// <summary>Argument of PHYSDEVOP_apic_read/_write (physdev.h).</summary>
[CName("struct physdev_apic")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevApic
{
    public ulong ApicPhysbase;
    public uint Reg;
    public uint Value;
}

/// <summary>Argument of PHYSDEVOP_alloc_irq_vector (physdev.h).</summary>
[CName("struct physdev_irq")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevIrq
{
    public uint Irq;
    public uint Vector;
}

/// <summary>Argument of PHYSDEVOP_map_pirq (physdev.h).</summary>
[CName("struct physdev_map_pirq")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevMapPirq
{
    public ushort Domid;
    public int Type;
    public int Index;
    public int Pirq;
    public int Bus;
    public int Devfn;
    public int EntryNr;
    public ulong TableBase;
}

/// <summary>Argument of PHYSDEVOP_unmap_pirq (physdev.h).</summary>
[CName("struct physdev_unmap_pirq")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevUnmapPirq
{
    public ushort Domid;
    public int Pirq;
}

/// <summary>Argument of PHYSDEVOP_setup_gsi (physdev.h).</summary>
[CName("struct physdev_setup_gsi")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevSetupGsi
{
    public int Gsi;
    public byte Triggering;
    public byte Polarity;
}

/// <summary>Argument of PHYSDEVOP_get_free_pirq (physdev.h).</summary>
[CName("struct physdev_get_free_pirq")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevGetFreePirq
{
    public int Type;
    public uint Pirq;
}

/// <summary>Names a PCI function (physdev.h).</summary>
[CName("struct physdev_pci_device")]
[StructLayout(LayoutKind.Sequential)]
public struct PhysdevPciDevice
{
    public ushort Seg;
    public byte Bus;
    public byte Devfn;
}

/// <summary>First argument of physdev_op (physdev.h).</summary>
public static class PhysdevOp
{
    [CName("PHYSDEVOP_IRQ_UNMASK_NOTIFY")] public const uint IrqUnmaskNotify = 4;
    [CName("PHYSDEVOP_irq_status_query")] public const uint IrqStatusQuery = 5;
    [CName("PHYSDEVOP_set_iopl")] public const uint SetIopl = 6;
    [CName("PHYSDEVOP_set_iobitmap")] public const uint SetIobitmap = 7;
    [CName("PHYSDEVOP_apic_read")] public const uint ApicRead = 8;
    [CName("PHYSDEVOP_apic_write")] public const uint ApicWrite = 9;
    [CName("PHYSDEVOP_alloc_irq_vector")] public const uint AllocIrqVector = 10;
    [CName("PHYSDEVOP_free_irq_vector")] public const uint FreeIrqVector = 11;
    [CName("PHYSDEVOP_eoi")] public const uint Eoi = 12;
    [CName("PHYSDEVOP_map_pirq")] public const uint MapPirq = 13;
    [CName("PHYSDEVOP_unmap_pirq")] public const uint UnmapPirq = 14;
    [CName("PHYSDEVOP_manage_pci_add")] public const uint ManagePciAdd = 15;
    [CName("PHYSDEVOP_manage_pci_remove")] public const uint ManagePciRemove = 16;
    [CName("PHYSDEVOP_pirq_eoi_gmfn_v1")] public const uint PirqEoiGmfnV1 = 17;
    [CName("PHYSDEVOP_restore_msi")] public const uint RestoreMsi = 19;
    [CName("PHYSDEVOP_manage_pci_add_ext")] public const uint ManagePciAddExt = 20;
    [CName("PHYSDEVOP_setup_gsi")] public const uint SetupGsi = 21;
    [CName("PHYSDEVOP_get_free_pirq")] public const uint GetFreePirq = 23;
    [CName("PHYSDEVOP_pci_mmcfg_reserved")] public const uint PciMmcfgReserved = 24;
    [CName("PHYSDEVOP_pci_device_add")] public const uint PciDeviceAdd = 25;
    [CName("PHYSDEVOP_pci_device_remove")] public const uint PciDeviceRemove = 26;
    [CName("PHYSDEVOP_restore_msi_ext")] public const uint RestoreMsiExt = 27;
    [CName("PHYSDEVOP_pirq_eoi_gmfn_v2")] public const uint PirqEoiGmfnV2 = 28;
    [CName("PHYSDEVOP_dbgp_op")] public const uint DbgpOp = 29;
    [CName("PHYSDEVOP_prepare_msix")] public const uint PrepareMsix = 30;
    [CName("PHYSDEVOP_release_msix")] public const uint ReleaseMsix = 31;
}

/// <summary>Bits of <see cref="PhysdevIrqStatusQuery.Flags"/> (physdev.h, XENIRQSTAT_*).</summary>
public static class IrqStatus
{
    [CName("XENIRQSTAT_needs_eoi")] public const uint NeedsEoi = 0x1;
    [CName("XENIRQSTAT_shared")] public const uint Shared = 0x2;
}
