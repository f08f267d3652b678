using System;
using Xunit;

namespace Ryokan.Hypervisor.Time.Tests;

public sealed class DomainClockTests
{
    private const double Second = 1e9;

    [Theory]
    [InlineData(0.2)]
    [InlineData(0.9)]
    [InlineData(1.0)]
    [InlineData(2.1)]
    [InlineData(4.0)]
    [InlineData(6.3)]
    public void A_line_computes_what_its_slope_says(double ticksPerNanosecond)
    {
        ClockLine line = ClockLine.Through(1000, 77, 1 / ticksPerNanosecond);
        Assert.True(line.Mul >= 0x80000000);
        double day = 86400 * Second;
        double error = line.At(1000 + (ulong)(day * ticksPerNanosecond)) - 77 - day;
        Assert.True(Math.Abs(error) < day * 1e-9, $"{error} ns in a day");
        Assert.Equal(77ul, line.At(999));
        Assert.Equal(77ul, line.At(0));
        Assert.Equal(1e6 * ticksPerNanosecond, line.TscKhz, 1e6 * ticksPerNanosecond * 1e-6);
    }

    [Fact]
    public void Time_starts_at_its_initial_value()
    {
        FakeHost host = new();
        DomainClock clock = new(host, 123_000_000_000);
        Assert.InRange(clock.Now(), 123_000_000_000ul, 123_100_000_000ul);
    }

    [Fact]
    public void Time_follows_the_host_though_the_tsc_drifts_and_never_goes_back()
    {
        FakeHost host = new();
        DomainClock clock = new(host);
        host.Step = 20;
        double epoch = host.Monotonic - clock.Now();
        Random random = new(1);
        ulong last = 0;
        double worst = 0;
        for (int i = 0; i < 2000; i++)
        {
            // NTP slews the host's clock: up to 50 ppm either way.
            host.Rate = 2.9 * (1 + ((random.NextDouble() - 0.5) * 100e-6));
            host.Advance(random.NextDouble() * 2 * Second);
            ulong before = clock.Now();
            if (clock.IsOld())
            {
                clock.Anchor(_ => { });
            }
            ulong after = clock.Now();
            Assert.True(before >= last && after >= before);
            last = after;
            worst = Math.Max(worst, Math.Abs(host.Monotonic - epoch - after));
        }
        // 2 s at 100 ppm between two looks is 0.2 ms; the correction must not let it pile up.
        Assert.True(worst < 1e6, $"{worst} ns");
    }

    [Fact]
    public void A_steady_host_is_followed_to_the_microsecond()
    {
        FakeHost host = new();
        DomainClock clock = new(host);
        host.Step = 20;
        host.Rate *= 1 + 20e-6;
        double epoch = host.Monotonic - clock.Now();
        for (int i = 0; i < 60; i++)
        {
            host.Advance(1.1 * Second);
            clock.Anchor(_ => { });
        }
        Assert.False(clock.Settling);
        Assert.True(Math.Abs(host.Monotonic - epoch - clock.Now()) < 2000);
        host.Advance(600 * Second);
        double error = Math.Abs(host.Monotonic - epoch - clock.Now());
        Assert.True(error < 600 * Second * 1e-6, $"{error} ns after ten idle minutes");
    }

    [Fact]
    public void A_tsc_that_was_set_back_does_not_set_time_back()
    {
        FakeHost host = new();
        DomainClock clock = new(host);
        host.Step = 20;
        host.Advance(5 * Second);
        ulong before = clock.Now();
        clock.Anchor(_ => { });
        host.Tsc = 1000;
        host.Advance(5 * Second);
        Assert.True(clock.IsOld());
        clock.Anchor(_ => { });
        ulong after = clock.Now();
        Assert.True(after >= before);
        host.Advance(Second);
        Assert.InRange(clock.Now() - after, 0.99 * Second, 1.01 * Second);
    }

    [Fact]
    public void A_deadline_is_converted_to_the_hosts_clock()
    {
        FakeHost host = new();
        DomainClock clock = new(host);
        host.Step = 0;
        Assert.Equal((long)host.Monotonic + 5_000_000, clock.ToHost(clock.Now() + 5_000_000));
        Assert.True(clock.ToHost(ulong.MaxValue) > long.MaxValue / 2);
        Assert.True(clock.ToHost(0) <= (long)host.Monotonic);
    }
}
