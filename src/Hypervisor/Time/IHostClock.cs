using System;
using Ryokan.Linux.Interop;

namespace Ryokan.Hypervisor.Time;

/// <summary>The host's clocks, as a domain's time is made from them.</summary>
public interface IHostClock
{
    /// <summary>The time-stamp counter as the guest's own RDTSC reads it.</summary>
    ulong ReadTsc();

    /// <summary>CLOCK_MONOTONIC in nanoseconds.</summary>
    long MonotonicNanoseconds();

    DateTimeOffset UtcNow();
}

/// <summary>The real clocks; RDTSC comes from whoever can execute it.</summary>
public sealed class HostClock(Func<ulong> readTsc) : IHostClock
{
    public ulong ReadTsc() => readTsc();

    public long MonotonicNanoseconds() => Futex.MonotonicNanoseconds();

    public DateTimeOffset UtcNow() => DateTimeOffset.UtcNow;
}
