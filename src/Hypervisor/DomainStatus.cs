using System;
using Ryokan.Engine;

namespace Ryokan.Hypervisor;

/// <summary>Why a domain stopped: the SHUTDOWN_* codes of xen/sched.h, and the monitor's own.</summary>
public enum ShutdownReason
{
    Poweroff = 0, Reboot = 1, Suspend = 2, Crash = 3, Watchdog = 4, SoftReset = 5,

    /// <summary>Ended from outside (<see cref="Domain.Destroy"/>); no code of Xen's.</summary>
    Destroyed = 0x100,
}

public enum DomainState
{
    Building, Running, Paused, ShutDown,
}

/// <summary>What a vCPU does at the moment: r, b, p or offline in xl's lists.</summary>
public enum VcpuActivity
{
    Running, Blocked, Paused, Offline,
}

/// <summary>One line of vcpu-list. The time is host CPU time used by the vCPU's thread.</summary>
/// <param name="HostThread">number of that thread (gettid); 0 before the domain is started</param>
public sealed record VcpuStatus(int Id, VcpuActivity Activity, TimeSpan CpuTime, int HostThread);

/// <summary>What is kept of a guest that crashed.</summary>
/// <param name="VcpuId">the vCPU that crashed</param>
/// <param name="Reason">one line: what the guest did</param>
/// <param name="Registers">its registers at that moment</param>
/// <param name="Details">several lines for a person: registers, stack words, last hypercalls of each vCPU</param>
public sealed record CrashReport(int VcpuId, string Reason, VcpuRegisters Registers, string Details);
