using System;

namespace Ryokan.Hypervisor.Time;

/// <summary>
/// System time as a straight line over the TSC, with the arithmetic of struct vcpu_time_info (xen/xen.h),
/// so that the monitor gets to the nanosecond what the guest gets. Immutable.
/// </summary>
/// <param name="Tsc">TSC at the line's anchor</param>
/// <param name="Nanoseconds">system time there</param>
/// <param name="Mul">nanoseconds per shifted tick, times 2^32; the top bit is set</param>
/// <param name="Shift">left shift of the ticks before the multiplication; right when negative</param>
public sealed record ClockLine(ulong Tsc, ulong Nanoseconds, uint Mul, sbyte Shift)
{
    /// <summary>The line through that point with that slope (0 &lt; slope &lt; 2^31 ns per tick).</summary>
    public static ClockLine Through(ulong tsc, ulong nanoseconds, double nanosecondsPerTick)
    {
        int shift = 0;
        double scaled = nanosecondsPerTick;
        while (scaled >= 1)
        {
            scaled /= 2;
            shift++;
        }
        while (scaled < 0.5)
        {
            scaled *= 2;
            shift--;
        }
        uint mul = (uint)Math.Min(Math.Round(scaled * 4294967296.0), uint.MaxValue);
        return new ClockLine(tsc, nanoseconds, mul, (sbyte)shift);
    }

    /// <summary>System time at a TSC value; at the anchor's for earlier ones.</summary>
    public ulong At(ulong tsc)
    {
        if ((long)(tsc - Tsc) <= 0)
        {
            return Nanoseconds;
        }
        ulong delta = tsc - Tsc;
        delta = Shift >= 0 ? delta << Shift : delta >> -Shift;
        ulong high = Math.BigMul(delta, Mul, out ulong low);
        return Nanoseconds + (high << 32 | low >> 32);
    }

    public double NanosecondsPerTick => Mul / 4294967296.0 * Math.ScaleB(1, Shift);

    /// <summary>TSC frequency as the guest derives it.</summary>
    public uint TscKhz => (uint)Math.Round(1e6 / NanosecondsPerTick);
}
