using System;
using System.Threading;

namespace Ryokan.Backends.Network;

/// <summary>
/// How much a guest may send (rate= of a vif): a credit of some bytes in every interval. A packet may go
/// while any credit is left; what it takes too much is missing in the next interval, so that the average is
/// kept. Thread-safe.
/// </summary>
public sealed class RateLimit
{
    private readonly Lock _lock = new();
    private readonly Func<long> _now;
    private readonly long _bytes, _interval;
    private long _credit, _refilled;

    /// <param name="bytes">in each interval</param>
    /// <param name="intervalMicroseconds">the interval</param>
    /// <param name="now">CLOCK_MONOTONIC in nanoseconds</param>
    public RateLimit(long bytes, long intervalMicroseconds, Func<long> now)
    {
        (_bytes, _interval, _now) = (bytes, intervalMicroseconds * 1000, now);
        (_credit, _refilled) = (bytes, now());
    }

    /// <summary>Whether a packet may go now.</summary>
    /// <param name="at">when it may, if not now: nanoseconds of the clock</param>
    public bool MaySend(out long at)
    {
        lock (_lock)
        {
            long intervals = (_now() - _refilled) / _interval;
            if (intervals > 0)
            {
                // Nothing is saved up: after a pause there is one interval's credit.
                _credit = Math.Min(_bytes, _credit + Math.Min(intervals, 1000) * _bytes);
                _refilled += intervals * _interval;
            }
            at = _refilled + _interval * (1 + Math.Max(0, -_credit) / _bytes);
            return _credit > 0;
        }
    }

    public void Spend(int sent)
    {
        lock (_lock)
        {
            _credit -= sent;
        }
    }
}
