using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>How a vCPU spent its time; 48 bytes (vcpu.h).</summary>
[CName("struct vcpu_runstate_info")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuRunstateInfo
{
    /// <summary><see cref="Runstate"/>.</summary>
    public int State;

    /// <summary>System time in ns; <see cref="RunstateFlags"/>.</summary>
    public ulong StateEntryTime;

    /// <summary>Nanoseconds in each state.</summary>
    public Array4<ulong> Time;
}

/// <summary>Argument of VCPUOP_register_runstate_memory_area (vcpu.h).</summary>
[CName("struct vcpu_register_runstate_memory_area")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuRegisterRunstateMemoryArea
{
    /// <summary>Guest virtual address.</summary>
    [CName("addr.v")] public ulong Addr;
}

/// <summary>Argument of VCPUOP_set_periodic_timer (vcpu.h).</summary>
[CName("struct vcpu_set_periodic_timer")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuSetPeriodicTimer
{
    public ulong PeriodNs;
}

/// <summary>Argument of VCPUOP_set_singleshot_timer (vcpu.h).</summary>
[CName("struct vcpu_set_singleshot_timer")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuSetSingleshotTimer
{
    /// <summary>System time.</summary>
    public ulong TimeoutAbsNs;

    /// <summary><see cref="SingleshotFlags"/>.</summary>
    public uint Flags;
}

/// <summary>Argument of VCPUOP_register_vcpu_info (vcpu.h).</summary>
[CName("struct vcpu_register_vcpu_info")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuRegisterVcpuInfo
{
    public ulong Mfn;

    /// <summary>Bytes within the frame.</summary>
    public uint Offset;
    public uint Rsvd;
}

/// <summary>Result of VCPUOP_get_physid (vcpu.h).</summary>
[CName("struct vcpu_get_physid")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuGetPhysid
{
    public ulong PhysId;
}

/// <summary>Argument of VCPUOP_register_vcpu_time_memory_area (vcpu.h).</summary>
[CName("struct vcpu_register_time_memory_area")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuRegisterTimeMemoryArea
{
    /// <summary>Guest virtual address.</summary>
    [CName("addr.v")] public ulong Addr;
}

/// <summary>First argument of vcpu_op (vcpu.h).</summary>
public static class VcpuOp
{
    [CName("VCPUOP_initialise")] public const uint Initialise = 0;
    [CName("VCPUOP_up")] public const uint Up = 1;
    [CName("VCPUOP_down")] public const uint Down = 2;
    [CName("VCPUOP_is_up")] public const uint IsUp = 3;
    [CName("VCPUOP_get_runstate_info")] public const uint GetRunstateInfo = 4;
    [CName("VCPUOP_register_runstate_memory_area")] public const uint RegisterRunstateMemoryArea = 5;
    [CName("VCPUOP_set_periodic_timer")] public const uint SetPeriodicTimer = 6;
    [CName("VCPUOP_stop_periodic_timer")] public const uint StopPeriodicTimer = 7;
    [CName("VCPUOP_set_singleshot_timer")] public const uint SetSingleshotTimer = 8;
    [CName("VCPUOP_stop_singleshot_timer")] public const uint StopSingleshotTimer = 9;
    [CName("VCPUOP_register_vcpu_info")] public const uint RegisterVcpuInfo = 10;
    [CName("VCPUOP_send_nmi")] public const uint SendNmi = 11;
    [CName("VCPUOP_get_physid")] public const uint GetPhysid = 12;
    [CName("VCPUOP_register_vcpu_time_memory_area")] public const uint RegisterVcpuTimeMemoryArea = 13;
}

/// <summary>Values of <see cref="VcpuRunstateInfo.State"/>, and the index of its time (vcpu.h).</summary>
public static class Runstate
{
    [CName("RUNSTATE_running")] public const int Running = 0;
    [CName("RUNSTATE_runnable")] public const int Runnable = 1;
    [CName("RUNSTATE_blocked")] public const int Blocked = 2;
    [CName("RUNSTATE_offline")] public const int Offline = 3;
}

/// <summary>Bits of <see cref="VcpuRunstateInfo.StateEntryTime"/> (vcpu.h).</summary>
public static class RunstateFlags
{
    [CName("XEN_RUNSTATE_UPDATE")] public const ulong Update = 0x8000000000000000;
}

/// <summary>Bits of <see cref="VcpuSetSingleshotTimer.Flags"/> (vcpu.h, VCPU_SSHOTTMR_*).</summary>
public static class SingleshotFlags
{
    [CName("VCPU_SSHOTTMR_future")] public const uint Future = 1;
}
