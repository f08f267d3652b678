using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Argument of HVMOP_set_param and _get_param (hvm/hvm_op.h).</summary>
[CName("struct xen_hvm_param")]
[StructLayout(LayoutKind.Sequential)]
public struct XenHvmParam
{
    public ushort Domid;
    private ushort _pad;

    /// <summary><see cref="HvmParam"/>.</summary>
    public uint Index;
    public ulong Value;
}

/// <summary>Argument of HVMOP_pagetable_dying (hvm/hvm_op.h).</summary>
[CName("struct xen_hvm_pagetable_dying")]
[StructLayout(LayoutKind.Sequential)]
public struct XenHvmPagetableDying
{
    public ushort Domid;
    private ushort _pad0;
    private uint _pad1;
    public ulong Gpa;
}

/// <summary>Result of HVMOP_get_time (hvm/hvm_op.h).</summary>
[CName("struct xen_hvm_get_time")]
[StructLayout(LayoutKind.Sequential)]
public struct XenHvmGetTime
{
    public ulong Now;
}

/// <summary>Argument of HVMOP_set_evtchn_upcall_vector (hvm/hvm_op.h).</summary>
[CName("struct xen_hvm_evtchn_upcall_vector")]
[StructLayout(LayoutKind.Sequential)]
public struct XenHvmEvtchnUpcallVector
{
    public uint Vcpu;
    public byte Vector;
}

/// <summary>What a PVH guest finds at ebx; 56 bytes, version 1 (arch-x86/hvm/start_info.h).</summary>
[CName("struct hvm_start_info")]
[StructLayout(LayoutKind.Sequential)]
public struct HvmStartInfo
{
    /// <summary><see cref="HvmStart.MagicValue"/>.</summary>
    public uint Magic;
    public uint Version;
    public uint Flags;
    public uint NrModules;
    public ulong ModlistPaddr;
    public ulong CmdlinePaddr;
    public ulong RsdpPaddr;
    public ulong MemmapPaddr;
    public uint MemmapEntries;
    public uint Reserved;
}

/// <summary>One boot module; the first is the initramfs (arch-x86/hvm/start_info.h).</summary>
[CName("struct hvm_modlist_entry")]
[StructLayout(LayoutKind.Sequential)]
public struct HvmModlistEntry
{
    public ulong Paddr;
    public ulong Size;
    public ulong CmdlinePaddr;
    public ulong Reserved;
}

/// <summary>One range of the PVH memory map (arch-x86/hvm/start_info.h).</summary>
[CName("struct hvm_memmap_table_entry")]
[StructLayout(LayoutKind.Sequential)]
public struct HvmMemmapTableEntry
{
    public ulong Addr;
    public ulong Size;

    /// <summary><see cref="HvmMemmapType"/>.</summary>
    public uint Type;
    public uint Reserved;
}

/// <summary>First argument of hvm_op, as far as guests use it (hvm/hvm_op.h).</summary>
public static class HvmOp
{
    [CName("HVMOP_set_param")] public const uint SetParam = 0;
    [CName("HVMOP_get_param")] public const uint GetParam = 1;
    [CName("HVMOP_flush_tlbs")] public const uint FlushTlbs = 5;
    [CName("HVMOP_pagetable_dying")] public const uint PagetableDying = 9;
    [CName("HVMOP_get_time")] public const uint GetTime = 10;
    [CName("HVMOP_xentrace")] public const uint Xentrace = 11;
    [CName("HVMOP_get_mem_type")] public const uint GetMemType = 15;
    [CName("HVMOP_set_evtchn_upcall_vector")] public const uint SetEvtchnUpcallVector = 23;
    [CName("HVMOP_guest_request_vm_event")] public const uint GuestRequestVmEvent = 24;
    [CName("HVMOP_altp2m")] public const uint Altp2m = 25;
}

/// <summary>Values of <see cref="XenHvmParam.Index"/> (hvm/params.h).</summary>
public static class HvmParam
{
    [CName("HVM_PARAM_CALLBACK_IRQ")] public const uint CallbackIrq = 0;
    [CName("HVM_PARAM_STORE_PFN")] public const uint StorePfn = 1;
    [CName("HVM_PARAM_STORE_EVTCHN")] public const uint StoreEvtchn = 2;
    [CName("HVM_PARAM_PAE_ENABLED")] public const uint PaeEnabled = 4;
    [CName("HVM_PARAM_IOREQ_PFN")] public const uint IoreqPfn = 5;
    [CName("HVM_PARAM_BUFIOREQ_PFN")] public const uint BufioreqPfn = 6;
    [CName("HVM_PARAM_VIRIDIAN")] public const uint Viridian = 9;
    [CName("HVM_PARAM_TIMER_MODE")] public const uint TimerMode = 10;
    [CName("HVM_PARAM_HPET_ENABLED")] public const uint HpetEnabled = 11;
    [CName("HVM_PARAM_IDENT_PT")] public const uint IdentPt = 12;
    [CName("HVM_PARAM_DM_DOMAIN")] public const uint DmDomain = 13;
    [CName("HVM_PARAM_ACPI_S_STATE")] public const uint AcpiSState = 14;
    [CName("HVM_PARAM_VM86_TSS")] public const uint Vm86Tss = 15;
    [CName("HVM_PARAM_VPT_ALIGN")] public const uint VptAlign = 16;
    [CName("HVM_PARAM_CONSOLE_PFN")] public const uint ConsolePfn = 17;
    [CName("HVM_PARAM_CONSOLE_EVTCHN")] public const uint ConsoleEvtchn = 18;
    [CName("HVM_PARAM_ACPI_IOPORTS_LOCATION")] public const uint AcpiIoportsLocation = 19;
    [CName("HVM_PARAM_MEMORY_EVENT_CR0")] public const uint MemoryEventCr0 = 20;
    [CName("HVM_PARAM_MEMORY_EVENT_CR3")] public const uint MemoryEventCr3 = 21;
    [CName("HVM_PARAM_MEMORY_EVENT_CR4")] public const uint MemoryEventCr4 = 22;
    [CName("HVM_PARAM_MEMORY_EVENT_INT3")] public const uint MemoryEventInt3 = 23;
    [CName("HVM_PARAM_NESTEDHVM")] public const uint Nestedhvm = 24;
    [CName("HVM_PARAM_MEMORY_EVENT_SINGLE_STEP")] public const uint MemoryEventSingleStep = 25;
    [CName("HVM_PARAM_BUFIOREQ_EVTCHN")] public const uint BufioreqEvtchn = 26;
    [CName("HVM_PARAM_PAGING_RING_PFN")] public const uint PagingRingPfn = 27;
    [CName("HVM_PARAM_MONITOR_RING_PFN")] public const uint MonitorRingPfn = 28;
    [CName("HVM_PARAM_SHARING_RING_PFN")] public const uint SharingRingPfn = 29;
    [CName("HVM_PARAM_MEMORY_EVENT_MSR")] public const uint MemoryEventMsr = 30;
    [CName("HVM_PARAM_TRIPLE_FAULT_REASON")] public const uint TripleFaultReason = 31;
    [CName("HVM_PARAM_IOREQ_SERVER_PFN")] public const uint IoreqServerPfn = 32;
    [CName("HVM_PARAM_NR_IOREQ_SERVER_PAGES")] public const uint NrIoreqServerPages = 33;
    [CName("HVM_PARAM_VM_GENERATION_ID_ADDR")] public const uint VmGenerationIdAddr = 34;
    [CName("HVM_PARAM_ALTP2M")] public const uint Altp2m = 35;
    [CName("HVM_PARAM_X87_FIP_WIDTH")] public const uint X87FipWidth = 36;
    [CName("HVM_PARAM_VM86_TSS_SIZED")] public const uint Vm86TssSized = 37;
    [CName("HVM_PARAM_MCA_CAP")] public const uint McaCap = 38;
    [CName("HVM_NR_PARAMS")] public const uint Count = 39;
}

/// <summary>Bits 63:56 of the CALLBACK_IRQ parameter (hvm/params.h).</summary>
public static class HvmCallbackType
{
    [CName("HVM_PARAM_CALLBACK_TYPE_GSI")] public const uint Gsi = 0;
    [CName("HVM_PARAM_CALLBACK_TYPE_PCI_INTX")] public const uint PciIntx = 1;
    [CName("HVM_PARAM_CALLBACK_TYPE_VECTOR")] public const uint Vector = 2;
}

/// <summary>Numbers of the PVH start record (arch-x86/hvm/start_info.h).</summary>
public static class HvmStart
{
    [CName("XEN_HVM_START_MAGIC_VALUE")] public const uint MagicValue = 0x336ec578;
}

/// <summary>
/// Values of <see cref="HvmMemmapTableEntry.Type"/>: the E820 types (arch-x86/hvm/start_info.h).
/// </summary>
public static class HvmMemmapType
{
    [CName("XEN_HVM_MEMMAP_TYPE_RAM")] public const uint Ram = 1;
    [CName("XEN_HVM_MEMMAP_TYPE_RESERVED")] public const uint Reserved = 2;
    [CName("XEN_HVM_MEMMAP_TYPE_ACPI")] public const uint Acpi = 3;
    [CName("XEN_HVM_MEMMAP_TYPE_NVS")] public const uint Nvs = 4;
    [CName("XEN_HVM_MEMMAP_TYPE_UNUSABLE")] public const uint Unusable = 5;
    [CName("XEN_HVM_MEMMAP_TYPE_DISABLED")] public const uint Disabled = 6;
    [CName("XEN_HVM_MEMMAP_TYPE_PMEM")] public const uint Pmem = 7;
}
