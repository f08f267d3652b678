using System;
using System.Threading;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor;

/// <summary>SCHEDOP_watchdog: timers that end the domain unless the guest sets them anew.</summary>
internal sealed class Watchdogs(Action expired) : IDisposable
{
    /// <summary>Timers of a domain (Xen: NR_DOMAIN_WATCHDOG_TIMERS).</summary>
    public const int Count = 2;

    /// <summary>Longest time; a guest that wants more means never.</summary>
    private const uint MaxSeconds = 1_000_000;

    private readonly Lock _gate = new();
    private readonly Timer?[] _timers = new Timer?[Count];
    private bool _closed;

    /// <summary>
    /// id 0: takes a free timer and returns its id (1 ..); else sets that one anew, or stops it with 0 seconds.
    /// -EINVAL: no such timer, or 0 seconds for a new one; -ENOSPC: none free.
    /// </summary>
    public long Set(uint id, uint seconds)
    {
        lock (_gate)
        {
            if (id > Count || _closed || (id == 0 && seconds == 0) || (id != 0 && _timers[id - 1] == null))
            {
                return -Errno.EINVAL;
            }
            uint slot = id != 0 ? id - 1 : (uint)Array.IndexOf(_timers, null);
            if (slot >= Count)
            {
                return -Errno.ENOSPC;
            }
            _timers[slot]?.Dispose();
            _timers[slot] = seconds == 0 ? null : new Timer(
                _ => expired(), null, TimeSpan.FromSeconds(Math.Min(seconds, MaxSeconds)), Timeout.InfiniteTimeSpan);
            return id == 0 ? slot + 1 : 0;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (Timer? timer in _timers)
            {
                timer?.Dispose();
            }
        }
    }
}
