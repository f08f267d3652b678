namespace Ryokan.Xen.Abi;

/// <summary>Hypercall numbers, the value of rax (xen.h, "hcalls").</summary>
public static class Hypercall
{
    [CName("__HYPERVISOR_set_trap_table")] public const uint SetTrapTable = 0;
    [CName("__HYPERVISOR_mmu_update")] public const uint MmuUpdate = 1;
    [CName("__HYPERVISOR_set_gdt")] public const uint SetGdt = 2;
    [CName("__HYPERVISOR_stack_switch")] public const uint StackSwitch = 3;
    [CName("__HYPERVISOR_set_callbacks")] public const uint SetCallbacks = 4;
    [CName("__HYPERVISOR_fpu_taskswitch")] public const uint FpuTaskswitch = 5;
    [CName("__HYPERVISOR_sched_op_compat")] public const uint SchedOpCompat = 6;
    [CName("__HYPERVISOR_platform_op")] public const uint PlatformOp = 7;
    [CName("__HYPERVISOR_set_debugreg")] public const uint SetDebugreg = 8;
    [CName("__HYPERVISOR_get_debugreg")] public const uint GetDebugreg = 9;
    [CName("__HYPERVISOR_update_descriptor")] public const uint UpdateDescriptor = 10;
    [CName("__HYPERVISOR_memory_op")] public const uint MemoryOp = 12;
    [CName("__HYPERVISOR_multicall")] public const uint Multicall = 13;
    [CName("__HYPERVISOR_update_va_mapping")] public const uint UpdateVaMapping = 14;
    [CName("__HYPERVISOR_set_timer_op")] public const uint SetTimerOp = 15;
    [CName("__HYPERVISOR_event_channel_op_compat")] public const uint EventChannelOpCompat = 16;
    [CName("__HYPERVISOR_xen_version")] public const uint XenVersion = 17;
    [CName("__HYPERVISOR_console_io")] public const uint ConsoleIo = 18;
    [CName("__HYPERVISOR_physdev_op_compat")] public const uint PhysdevOpCompat = 19;
    [CName("__HYPERVISOR_grant_table_op")] public const uint GrantTableOp = 20;
    [CName("__HYPERVISOR_vm_assist")] public const uint VmAssist = 21;
    [CName("__HYPERVISOR_update_va_mapping_otherdomain")] public const uint UpdateVaMappingOtherdomain = 22;
    [CName("__HYPERVISOR_iret")] public const uint Iret = 23;
    [CName("__HYPERVISOR_vcpu_op")] public const uint VcpuOp = 24;
    [CName("__HYPERVISOR_set_segment_base")] public const uint SetSegmentBase = 25;
    [CName("__HYPERVISOR_mmuext_op")] public const uint MmuextOp = 26;
    [CName("__HYPERVISOR_xsm_op")] public const uint XsmOp = 27;
    [CName("__HYPERVISOR_nmi_op")] public const uint NmiOp = 28;
    [CName("__HYPERVISOR_sched_op")] public const uint SchedOp = 29;
    [CName("__HYPERVISOR_callback_op")] public const uint CallbackOp = 30;
    [CName("__HYPERVISOR_xenoprof_op")] public const uint XenoprofOp = 31;
    [CName("__HYPERVISOR_event_channel_op")] public const uint EventChannelOp = 32;
    [CName("__HYPERVISOR_physdev_op")] public const uint PhysdevOp = 33;
    [CName("__HYPERVISOR_hvm_op")] public const uint HvmOp = 34;
    [CName("__HYPERVISOR_sysctl")] public const uint Sysctl = 35;
    [CName("__HYPERVISOR_domctl")] public const uint Domctl = 36;
    [CName("__HYPERVISOR_kexec_op")] public const uint KexecOp = 37;
    [CName("__HYPERVISOR_tmem_op")] public const uint TmemOp = 38;
    [CName("__HYPERVISOR_argo_op")] public const uint ArgoOp = 39;
    [CName("__HYPERVISOR_xenpmu_op")] public const uint XenpmuOp = 40;
    [CName("__HYPERVISOR_dm_op")] public const uint DmOp = 41;
    [CName("__HYPERVISOR_hypfs_op")] public const uint HypfsOp = 42;
    [CName("__HYPERVISOR_arch_0")] public const uint Arch0 = 48;
    [CName("__HYPERVISOR_arch_1")] public const uint Arch1 = 49;
    [CName("__HYPERVISOR_arch_2")] public const uint Arch2 = 50;
    [CName("__HYPERVISOR_arch_3")] public const uint Arch3 = 51;
    [CName("__HYPERVISOR_arch_4")] public const uint Arch4 = 52;
    [CName("__HYPERVISOR_arch_5")] public const uint Arch5 = 53;
    [CName("__HYPERVISOR_arch_6")] public const uint Arch6 = 54;
    [CName("__HYPERVISOR_arch_7")] public const uint Arch7 = 55;
}
