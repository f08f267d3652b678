using System.Globalization;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Diagnostics;

/// <summary>Names of hypercall numbers for people (xen.h).</summary>
internal static class HypercallNames
{
    public static string Of(ulong number) => number switch
    {
        Hypercall.SetTrapTable => "set_trap_table",
        Hypercall.MmuUpdate => "mmu_update",
        Hypercall.SetGdt => "set_gdt",
        Hypercall.StackSwitch => "stack_switch",
        Hypercall.SetCallbacks => "set_callbacks",
        Hypercall.FpuTaskswitch => "fpu_taskswitch",
        Hypercall.SetDebugreg => "set_debugreg",
        Hypercall.GetDebugreg => "get_debugreg",
        Hypercall.UpdateDescriptor => "update_descriptor",
        Hypercall.MemoryOp => "memory_op",
        Hypercall.Multicall => "multicall",
        Hypercall.UpdateVaMapping => "update_va_mapping",
        Hypercall.SetTimerOp => "set_timer_op",
        Hypercall.XenVersion => "xen_version",
        Hypercall.ConsoleIo => "console_io",
        Hypercall.GrantTableOp => "grant_table_op",
        Hypercall.VmAssist => "vm_assist",
        Hypercall.Iret => "iret",
        Hypercall.VcpuOp => "vcpu_op",
        Hypercall.SetSegmentBase => "set_segment_base",
        Hypercall.MmuextOp => "mmuext_op",
        Hypercall.NmiOp => "nmi_op",
        Hypercall.SchedOp => "sched_op",
        Hypercall.CallbackOp => "callback_op",
        Hypercall.EventChannelOp => "event_channel_op",
        Hypercall.PhysdevOp => "physdev_op",
        Hypercall.HvmOp => "hvm_op",
        Hypercall.XenpmuOp => "xenpmu_op",
        _ => string.Create(CultureInfo.InvariantCulture, $"hypercall {number}"),
    };
}
