using System;
using System.Collections.Generic;
using System.Linq;

namespace Ryokan.Bench;

/// <summary>All measurements of a run: for each group, row and system the values of the rounds.</summary>
internal sealed class Samples
{
    private readonly Dictionary<(string Group, string Row, string System), List<double>> _seconds = [];
    private readonly Dictionary<(string Group, string Row), Dictionary<string, string>> _checks = [];
    private readonly List<(string Group, string Row)> _order = [];

    /// <summary>What went wrong: a failed program, a guest that did not end, a wrong result.</summary>
    public List<string> Problems { get; } = [];

    /// <summary>What was not measured although it was asked for, and why.</summary>
    public List<string> Skipped { get; } = [];

    public void Add(string group, string system, Row row)
    {
        (string, string) key = (group, row.Name);
        if (!_checks.TryGetValue(key, out Dictionary<string, string>? checks))
        {
            _checks[key] = checks = [];
            _order.Add(key);
        }

        if (checks.Values.FirstOrDefault(c => c != row.Check) is { } other)
        {
            Problems.Add($"{group}/{row.Name}: {system} computed {row.Check}, elsewhere it was {other}");
        }

        checks[system] = row.Check;
        AddValue(group, system, row.Name, row.Seconds);
    }

    /// <summary>A number that no row of a program carries (boot time, memory).</summary>
    public void AddValue(string group, string system, string row, double value)
    {
        if (!_seconds.TryGetValue((group, row, system), out List<double>? values))
        {
            _seconds[(group, row, system)] = values = [];
        }

        values.Add(value);
    }

    /// <summary>The rows of a group in the order of their first appearance.</summary>
    public IEnumerable<string> Rows(string group) => _order.Where(k => k.Group == group).Select(k => k.Row);

    /// <summary>All values in the order of the rounds; empty when there are none.</summary>
    public IReadOnlyList<double> Values(string group, string row, string system) =>
        _seconds.TryGetValue((group, row, system), out List<double>? values) ? values : [];

    /// <summary>The median over the rounds; null when nothing was measured.</summary>
    public double? Median(string group, string row, string system)
    {
        double[] sorted = [.. Values(group, row, system).Order()];
        int middle = sorted.Length / 2;
        return sorted.Length switch
        {
            0 => null,
            _ when sorted.Length % 2 == 1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2,
        };
    }

    /// <summary>Times native; null when one of the two was not measured.</summary>
    public double? Ratio(string group, string row, string system) =>
        Median(group, row, system) is { } guest && Median(group, row, "native") is { } native && native > 0
            ? guest / native
            : null;

    /// <summary>Geometric mean of the ratios to native; null when the group has none.</summary>
    public double? GeometricMean(string group, string system)
    {
        double[] ratios = [.. Rows(group).Select(r => Ratio(group, r, system)).OfType<double>()];
        return ratios.Length == 0 ? null : Math.Exp(ratios.Average(Math.Log));
    }
}
