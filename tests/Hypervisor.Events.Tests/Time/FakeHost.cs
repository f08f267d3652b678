using System;

namespace Ryokan.Hypervisor.Time.Tests;

/// <summary>A host whose clocks move only when told, plus a little at every reading.</summary>
internal sealed class FakeHost : IHostClock
{
    public double Monotonic = 5e12;
    public double Tsc = 1e15;

    /// <summary>TSC ticks per nanosecond of CLOCK_MONOTONIC.</summary>
    public double Rate = 2.9;

    /// <summary>Nanoseconds that pass with every reading.</summary>
    public double Step = 1_000_000;

    public DateTimeOffset Utc = DateTimeOffset.UnixEpoch + TimeSpan.FromDays(20_000);

    public void Advance(double nanoseconds)
    {
        Monotonic += nanoseconds;
        Tsc += nanoseconds * Rate;
        Utc += TimeSpan.FromTicks((long)(nanoseconds / 100));
    }

    public ulong ReadTsc()
    {
        Advance(Step);
        return (ulong)Tsc;
    }

    public long MonotonicNanoseconds()
    {
        Advance(Step);
        return (long)Monotonic;
    }

    public DateTimeOffset UtcNow() => Utc;
}
