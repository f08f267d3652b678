using System;
using System.Threading;

namespace Ryokan.Hypervisor.Time;

/// <summary>
/// The singleshot and the periodic timer of one vCPU; system time in nanoseconds. Lock-free.
/// </summary>
internal sealed class VcpuTimer
{
    public const long Never = long.MaxValue;

    private long _singleshot = Never;
    private long _periodic = Never;
    private long _period;

    /// <summary>The vCPU waits and looks after its deadline itself.</summary>
    public bool OwnerWaits
    {
        get => Volatile.Read(ref _ownerWaits);
        set
        {
            Volatile.Write(ref _ownerWaits, value);
            Interlocked.MemoryBarrier();
        }
    }

    private bool _ownerWaits;

    public long Deadline => Math.Min(Volatile.Read(ref _singleshot), Volatile.Read(ref _periodic));

    public void SetSingleshot(long deadline) => Interlocked.Exchange(ref _singleshot, deadline);

    public void SetPeriodic(long period, long now)
    {
        Volatile.Write(ref _period, period);
        Interlocked.Exchange(ref _periodic, period == 0 ? Never : now + period);
    }

    /// <summary>Takes what is due; true for exactly one caller.</summary>
    public bool TakeDue(long now)
    {
        bool due = false;
        long singleshot = Volatile.Read(ref _singleshot);
        if (singleshot <= now)
        {
            due |= Interlocked.CompareExchange(ref _singleshot, Never, singleshot) == singleshot;
        }
        long periodic = Volatile.Read(ref _periodic);
        if (periodic <= now)
        {
            // Ticks that were missed are not made up for.
            long next = Math.Max(periodic + Volatile.Read(ref _period), now);
            due |= Interlocked.CompareExchange(ref _periodic, next, periodic) == periodic;
        }
        return due;
    }
}
