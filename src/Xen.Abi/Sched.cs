using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Argument of SCHEDOP_shutdown (sched.h).</summary>
[CName("struct sched_shutdown")]
[StructLayout(LayoutKind.Sequential)]
public struct SchedShutdown
{
    /// <summary><see cref="ShutdownReason"/>.</summary>
    public uint Reason;
}

/// <summary>Argument of SCHEDOP_poll (sched.h).</summary>
[CName("struct sched_poll")]
[StructLayout(LayoutKind.Sequential)]
public struct SchedPoll
{
    /// <summary>Guest pointer to u32 ports.</summary>
    public ulong Ports;
    public uint NrPorts;

    /// <summary>Absolute system time in ns, 0 = none.</summary>
    public ulong Timeout;
}

/// <summary>Argument of SCHEDOP_remote_shutdown (sched.h).</summary>
[CName("struct sched_remote_shutdown")]
[StructLayout(LayoutKind.Sequential)]
public struct SchedRemoteShutdown
{
    public ushort DomainId;
    public uint Reason;
}

/// <summary>Argument of SCHEDOP_watchdog (sched.h).</summary>
[CName("struct sched_watchdog")]
[StructLayout(LayoutKind.Sequential)]
public struct SchedWatchdog
{
    public uint Id;

    /// <summary>Seconds.</summary>
    public uint Timeout;
}

/// <summary>Argument of SCHEDOP_pin_override (sched.h).</summary>
[CName("struct sched_pin_override")]
[StructLayout(LayoutKind.Sequential)]
public struct SchedPinOverride
{
    public int Pcpu;
}

/// <summary>First argument of sched_op (sched.h).</summary>
public static class SchedOp
{
    [CName("SCHEDOP_yield")] public const uint Yield = 0;
    [CName("SCHEDOP_block")] public const uint Block = 1;
    [CName("SCHEDOP_shutdown")] public const uint Shutdown = 2;
    [CName("SCHEDOP_poll")] public const uint Poll = 3;
    [CName("SCHEDOP_remote_shutdown")] public const uint RemoteShutdown = 4;
    [CName("SCHEDOP_shutdown_code")] public const uint ShutdownCode = 5;
    [CName("SCHEDOP_watchdog")] public const uint Watchdog = 6;
    [CName("SCHEDOP_pin_override")] public const uint PinOverride = 7;
}

/// <summary>Values of <see cref="SchedShutdown.Reason"/> (sched.h).</summary>
public static class ShutdownReason
{
    [CName("SHUTDOWN_poweroff")] public const uint Poweroff = 0;
    [CName("SHUTDOWN_reboot")] public const uint Reboot = 1;
    [CName("SHUTDOWN_suspend")] public const uint Suspend = 2;
    [CName("SHUTDOWN_crash")] public const uint Crash = 3;
    [CName("SHUTDOWN_watchdog")] public const uint Watchdog = 4;
    [CName("SHUTDOWN_MAX")] public const uint Max = 5;
    [CName("SHUTDOWN_soft_reset")] public const uint SoftReset = 5;
}
