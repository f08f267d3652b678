using System;
using System.Linq;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Events;
using Ryokan.Linux.Interop;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Time;

/// <summary>
/// Time of one domain: system time (nanoseconds, the same on all vCPUs), the records from which the guest
/// computes it, wall clock, the vCPUs' timers and runstate accounts. Any thread may call anything.
/// <para>
/// A timer is looked after by one thread that sleeps until the next deadline; while a vCPU waits, between
/// <see cref="BeginWait"/> and <see cref="EndWait"/>, by the vCPU's own thread. With nothing due nothing
/// runs.
/// </para>
/// </summary>
public sealed class DomainTime : IDisposable
{
    /// <summary>Shortest period of a periodic timer (Xen's own limit).</summary>
    public const ulong MinPeriodNanoseconds = 1_000_000;

    private const ulong MaxPeriodNanoseconds = 1UL << 62;

    /// <summary>How soon a correction of the clock is looked at again.</summary>
    private const long SettleNanoseconds = 1_000_000_000;

    private readonly IHostClock _host;
    private readonly DomainClock _clock;
    private readonly TimeAreas _areas;
    private readonly Action<int> _raiseTimer;
    private readonly VcpuTimer[] _timers;
    private readonly RunstateAccount[] _runstates;
    private readonly TimerDescriptor _alarm = new();
    private readonly Lock _alarmLock = new();
    private readonly Thread _thread;
    private long _alarmAt = long.MaxValue;
    private volatile bool _stopping;

    /// <summary>vm_assist runstate_update_flag is on.</summary>
    public bool RunstateUpdateFlag { get; set; }

    /// <summary>Writes the first time records and the wall clock; takes 10 ms to measure the TSC.</summary>
    /// <param name="tscStable">the host's TSC runs at one rate and alike on all CPUs (CPUID 0x80000007 edx
    /// bit 8)</param>
    /// <param name="raiseTimer">raises VIRQ_TIMER on a vCPU</param>
    /// <param name="initialNanoseconds">system time to start at (a domain that comes from elsewhere)</param>
    public DomainTime(
        GuestFrames frames, ulong sharedInfoMfn, VcpuInfoTable vcpuInfo, IHostClock host, bool tscStable,
        Action<int> raiseTimer, ulong initialNanoseconds = 0)
    {
        _host = host;
        _raiseTimer = raiseTimer;
        _clock = new DomainClock(host, initialNanoseconds);
        _areas = new TimeAreas(frames, sharedInfoMfn, vcpuInfo, tscStable);
        _timers = Enumerable.Range(0, vcpuInfo.VcpuCount).Select(_ => new VcpuTimer()).ToArray();
        _runstates = Enumerable.Range(0, vcpuInfo.VcpuCount).Select(_ => new RunstateAccount()).ToArray();
        Publish(_clock.Line);
        vcpuInfo.Moved = vcpu => _areas.WriteOne(vcpu, _clock.Line);
        _thread = new Thread(RunAlarm) { IsBackground = true, Name = "timer" };
        _thread.Start();
        Arm(_host.MonotonicNanoseconds() + SettleNanoseconds);
    }

    /// <summary>System time now, as the guest computes it.</summary>
    public ulong Now() => _clock.Now();

    /// <summary>The record in force: TSC frequency, multiplier and shift (CPUID leaf 0x40000003).</summary>
    public ClockLine Line => _clock.Line;

    /// <summary>CLOCK_MONOTONIC at a system time, for waits with a deadline (SCHEDOP_poll).</summary>
    public long ToHost(ulong systemTime) => _clock.ToHost(systemTime);

    /// <summary>VCPUOP_set_singleshot_timer; a time that has passed fires at once.</summary>
    public void SetSingleshot(int vcpu, ulong systemTime)
    {
        long deadline = (long)Math.Min(systemTime, long.MaxValue - 1);
        _timers[vcpu].SetSingleshot(deadline);
        Watch(vcpu);
    }

    public void StopSingleshot(int vcpu) => _timers[vcpu].SetSingleshot(VcpuTimer.Never);

    /// <summary>VCPUOP_set_periodic_timer. -EINVAL: shorter than 1 ms or absurdly long.</summary>
    public long SetPeriodic(int vcpu, ulong periodNanoseconds)
    {
        if (periodNanoseconds is < MinPeriodNanoseconds or > MaxPeriodNanoseconds)
        {
            return -Errno.EINVAL;
        }
        _timers[vcpu].SetPeriodic((long)periodNanoseconds, (long)Now());
        Watch(vcpu);
        return 0;
    }

    public void StopPeriodic(int vcpu) => _timers[vcpu].SetPeriodic(0, 0);

    /// <summary>
    /// The vCPU is about to wait: its timer is its own thread's business now. Returns the CLOCK_MONOTONIC
    /// time to wait for at most (<see cref="long.MaxValue"/>: none); after every wait call
    /// <see cref="FireIfDue"/>, which may find that there is some time to go.
    /// </summary>
    public long BeginWait(int vcpu)
    {
        _timers[vcpu].OwnerWaits = true;
        return HostDeadline(vcpu);
    }

    /// <summary>
    /// CLOCK_MONOTONIC time of the vCPU's next timer event; <see cref="long.MaxValue"/>: none.
    /// </summary>
    public long HostDeadline(int vcpu)
    {
        long deadline = _timers[vcpu].Deadline;
        return deadline == VcpuTimer.Never ? long.MaxValue : _clock.ToHost((ulong)deadline);
    }

    /// <summary>The vCPU runs again.</summary>
    public void EndWait(int vcpu)
    {
        _timers[vcpu].OwnerWaits = false;
        Watch(vcpu);
        Refresh();
    }

    /// <summary>Raises VIRQ_TIMER when the vCPU's timer is due; true when it was.</summary>
    public bool FireIfDue(int vcpu)
    {
        bool due = _timers[vcpu].TakeDue((long)Now());
        if (due)
        {
            _raiseTimer(vcpu);
        }
        return due;
    }

    /// <summary>VCPUOP_register_vcpu_time_memory_area; null: no more.</summary>
    public void SetTimeArea(int vcpu, GuestArea? area) => _areas.SetSecondary(vcpu, area, _clock.Line);

    /// <summary>VCPUOP_register_runstate_memory_area; null: no more.</summary>
    public void SetRunstateArea(int vcpu, GuestArea? area) =>
        _runstates[vcpu].SetArea(area, RunstateUpdateFlag);

    /// <summary>The vCPU enters a state (<see cref="Runstate"/>).</summary>
    public void EnterRunstate(int vcpu, int state) =>
        _runstates[vcpu].Enter(state, Now(), RunstateUpdateFlag);

    /// <summary>VCPUOP_get_runstate_info.</summary>
    public VcpuRunstateInfo GetRunstate(int vcpu) => _runstates[vcpu].Snapshot(Now());

    /// <summary>Forgets timers and registered areas of all vCPUs (soft reset). No vCPU may run.</summary>
    public void SoftReset()
    {
        for (int i = 0; i < _timers.Length; i++)
        {
            StopSingleshot(i);
            StopPeriodic(i);
            SetRunstateArea(i, null);
            SetTimeArea(i, null);
        }
    }

    public void Dispose()
    {
        _stopping = true;
        _alarm.Arm(0);
        _thread.Join();
        _alarm.Dispose();
    }

    private void Publish(ClockLine line)
    {
        _areas.WriteAll(line);
        _areas.WriteWallClock(_host.UtcNow(), Now());
    }

    private void Refresh()
    {
        if (_clock.IsOld())
        {
            _clock.Anchor(Publish);
        }
    }

    /// <summary>
    /// Fires the vCPU's timer when it is due, and sees to it that the alarm thread fires the next.
    /// </summary>
    private void Watch(int vcpu)
    {
        FireIfDue(vcpu);
        if (!_timers[vcpu].OwnerWaits)
        {
            Arm(HostDeadline(vcpu));
        }
    }

    private void Arm(long hostTime)
    {
        if (hostTime >= Volatile.Read(ref _alarmAt))
        {
            return;
        }
        lock (_alarmLock)
        {
            if (hostTime < _alarmAt)
            {
                Volatile.Write(ref _alarmAt, hostTime);
                _alarm.Arm(hostTime);
            }
        }
    }

    private void RunAlarm()
    {
        while (!_stopping)
        {
            _alarm.Wait();
            lock (_alarmLock)
            {
                Volatile.Write(ref _alarmAt, long.MaxValue);
            }
            Refresh();
            if (_clock.Settling)
            {
                Arm(_host.MonotonicNanoseconds() + SettleNanoseconds);
            }
            for (int i = 0; i < _timers.Length; i++)
            {
                if (!_timers[i].OwnerWaits)
                {
                    Watch(i);
                }
            }
        }
    }
}
