using System;
using System.Globalization;

namespace Ryokan.Bench.Devices;

/// <summary>What a figure counts, and so whether more or less of it is better.</summary>
internal enum Unit
{
    BytesPerSecond,
    BitsPerSecond,
    PerSecond,
    Seconds,
}

/// <summary>
/// A measurement of a device row's program: "RATE name per-second" or "TIME name seconds" on a line of its own.
/// </summary>
internal sealed record Figure(string Name, double Value)
{
    /// <summary>Null for any other line, and for values that are no positive numbers.</summary>
    public static Figure? Parse(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words is ["RATE" or "TIME", var name, var number]
            && double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
            && value is > 0 and < double.PositiveInfinity
            ? new Figure(name, value)
            : null;
    }
}
