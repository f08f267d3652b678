using System;
using System.Threading;

namespace Ryokan.Hypervisor.Time;

/// <summary>
/// Keeps a <see cref="ClockLine"/> true to the host's CLOCK_MONOTONIC. The line is replaced at most once a
/// second; a new line starts where the old one is (time never jumps or goes back) with the slope measured
/// since the last time, bent a little so that the difference vanishes.
/// </summary>
internal sealed class DomainClock
{
    private const long Second = 1_000_000_000;
    private const double Ppm = 1e-6;

    /// <summary>Shortest stretch that gives the first slope; two readings are good to some 50 ns.</summary>
    private static readonly TimeSpan s_firstMeasurement = TimeSpan.FromMilliseconds(10);

    /// <summary>Time in which a difference is to vanish.</summary>
    private const double CorrectionSeconds = 2;

    private const double MaxCorrection = 500 * Ppm;

    /// <summary>Corrections above this must not be left in force while the domain sleeps.</summary>
    private const double NegligibleCorrection = 1 * Ppm;

    /// <summary>TSC and monotonic time taken as close together as the host allows.</summary>
    private readonly record struct Sample(ulong Tsc, long Monotonic);

    private readonly IHostClock _host;
    private readonly Lock _lock = new();

    /// <summary>Monotonic time at system time 0.</summary>
    private readonly long _epoch;
    private Sample _last;
    private ClockLine _line;
    private bool _settling;

    /// <summary>Takes 10 ms: the rate of the TSC is measured.</summary>
    public DomainClock(IHostClock host, ulong initialNanoseconds = 0)
    {
        _host = host;
        Sample first = TakeSample();
        long wait = (long)s_firstMeasurement.TotalNanoseconds;
        while (host.MonotonicNanoseconds() - first.Monotonic < wait)
        {
            Thread.Sleep(1);
        }
        _last = TakeSample();
        _epoch = _last.Monotonic - (long)initialNanoseconds;
        _line = ClockLine.Through(_last.Tsc, initialNanoseconds, Slope(first, _last));
    }

    public ClockLine Line => Volatile.Read(ref _line);

    /// <summary>True while a correction is in force that must be looked after within some seconds.</summary>
    public bool Settling => Volatile.Read(ref _settling);

    public ulong Now() => Line.At(_host.ReadTsc());

    /// <summary>CLOCK_MONOTONIC at a coming system time.</summary>
    public long ToHost(ulong systemTime)
    {
        long ahead = systemTime > long.MaxValue / 2 ? long.MaxValue / 2 : (long)systemTime - (long)Now();
        return _host.MonotonicNanoseconds() + ahead;
    }

    /// <summary>Cheap: whether the line is older than a second, or the TSC was set back.</summary>
    public bool IsOld()
    {
        ClockLine line = Line;
        ulong tsc = _host.ReadTsc();
        return tsc < line.Tsc || line.At(tsc) - line.Nanoseconds > Second;
    }

    /// <summary>Replaces the line; <paramref name="publish"/> runs before another replacement can.</summary>
    public void Anchor(Action<ClockLine> publish)
    {
        lock (_lock)
        {
            Sample now = TakeSample();
            if (now.Monotonic - _last.Monotonic < Second / 2)
            {
                return;
            }
            // A TSC that went back (the host slept or was moved) says nothing about its rate.
            bool setBack = now.Tsc <= _last.Tsc;
            double slope = setBack ? _line.NanosecondsPerTick : Slope(_last, now);
            ulong here = _line.At(setBack ? _last.Tsc : now.Tsc);
            double behind = (now.Monotonic - _epoch - (long)here) / (double)Second;
            double correction = Math.Clamp(behind / CorrectionSeconds, -MaxCorrection, MaxCorrection);
            _last = now;
            Volatile.Write(ref _line, ClockLine.Through(now.Tsc, here, slope * (1 + correction)));
            Volatile.Write(ref _settling, Math.Abs(correction) > NegligibleCorrection);
            publish(_line);
        }
    }

    private static double Slope(Sample from, Sample to) =>
        (to.Monotonic - from.Monotonic) / (double)(to.Tsc - from.Tsc);

    /// <summary>The tightest of some readings of the one clock between two of the other.</summary>
    private Sample TakeSample()
    {
        ulong tightest = ulong.MaxValue;
        Sample best = default;
        for (int i = 0; i < 8; i++)
        {
            ulong before = _host.ReadTsc();
            long monotonic = _host.MonotonicNanoseconds();
            ulong width = _host.ReadTsc() - before;
            if (width < tightest)
            {
                tightest = width;
                best = new Sample(before + width / 2, monotonic);
            }
        }
        return best;
    }
}
