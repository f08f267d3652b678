using System;
using System.Globalization;

namespace Ryokan.Bench;

/// <summary>One measurement that a benchmark program printed (see benchmarks/programs/row.h).</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Seconds">Wall time: of the whole work, or of one operation for the kernel rows.</param>
/// <param name="Check">A value that depends on the work done; equal wherever the work was done rightly.</param>
internal sealed record Row(string Name, double Seconds, string Check)
{
    /// <summary>Reads "ROW name wall cpu check"; null for any other line.</summary>
    public static Row? Parse(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length != 5 || words[0] != "ROW"
            || !double.TryParse(words[2], NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds))
        {
            return null;
        }

        return new Row(words[1], seconds, words[4]);
    }
}
