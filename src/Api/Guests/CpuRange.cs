using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Ryokan.Api.Guests;

/// <summary>Lists of host CPUs as xl writes them: "all", "0-3,5,^2".</summary>
public static class CpuRange
{
    private const int MaxCpu = 1023;

    /// <param name="text">the list</param>
    /// <returns>ascending; null for all</returns>
    /// <exception cref="FormatException">with one line that says what is wrong</exception>
    public static IReadOnlyList<int>? Parse(string text)
    {
        if (text == "all")
        {
            return null;
        }
        SortedSet<int> cpus = [];
        foreach (string part in text.Split(','))
        {
            bool without = part.StartsWith('^');
            string[] ends = (without ? part[1..] : part).Split('-');
            if (ends.Length > 2 || Number(ends[0]) is not { } first || Number(ends[^1]) is not { } last
                || last < first)
            {
                throw new FormatException(
                    $"'{text}' is not a list of CPUs such as 0-3,5,^2, nor 'all'");
            }
            for (int cpu = first; cpu <= last; cpu++)
            {
                _ = without ? cpus.Remove(cpu) : cpus.Add(cpu);
            }
        }
        return cpus.Count > 0 ? [.. cpus] : throw new FormatException($"'{text}' leaves no CPU");
    }

    private static int? Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n <= MaxCpu ? n : null;

    /// <param name="cpus">ascending; null: all</param>
    public static string Show(IReadOnlyList<int>? cpus)
    {
        if (cpus == null)
        {
            return "all";
        }
        StringBuilder text = new();
        for (int i = 0; i < cpus.Count;)
        {
            int end = i;
            while (end + 1 < cpus.Count && cpus[end + 1] == cpus[end] + 1)
            {
                end++;
            }
            text.Append(i == 0 ? "" : ",").Append(CultureInfo.InvariantCulture, $"{cpus[i]}");
            if (end > i)
            {
                text.Append(CultureInfo.InvariantCulture, $"-{cpus[end]}");
            }
            i = end + 1;
        }
        return text.Length == 0 ? "none" : text.ToString();
    }
}
