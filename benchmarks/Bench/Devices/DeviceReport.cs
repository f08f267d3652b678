using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace Ryokan.Bench.Devices;

/// <summary>The tables of the device rows.</summary>
internal sealed class DeviceReport(Samples samples)
{
    /// <summary>The systems whose figures are kept.</summary>
    public static IReadOnlyList<string> Systems { get; } =
        ["native", DeviceGroup.CachedSystem, "Ryokan", RyokanSystem.FirstStart, "QEMU"];

    public void Append(StringBuilder text)
    {
        foreach (DeviceGroup group in DeviceGroup.All.Where(g => MeasuredRows(g).Any()))
        {
            Append(text, group);
        }
    }

    private IEnumerable<DeviceRow> MeasuredRows(DeviceGroup group) =>
        group.Rows.Where(r => Systems.Any(s => samples.Median(group.Name, r.Name, s) is not null));

    private void Append(StringBuilder text, DeviceGroup group)
    {
        string[] systems = [.. Systems.Where(
            s => group.Rows.Any(r => samples.Median(group.Name, r.Name, s) is not null))];
        bool hasNative = systems.Contains("native");
        string[] headings = [.. systems, .. hasNative ? new[] { "part of native" } : [], "times QEMU", "wanted"];
        text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"## {group.Title}").AppendLine();
        text.AppendLine(group.Note).AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"| | {string.Join(" | ", headings)} |");
        text.AppendLine("|---|" + string.Concat(Enumerable.Repeat("---:|", headings.Length)));
        foreach (DeviceRow row in MeasuredRows(group))
        {
            string[] values =
            [
                .. systems.Select(s => Show(row.Unit, samples.Median(group.Name, row.Name, s))),
                .. hasNative ? new[] { Percent(Better(group, row, "native")) } : [],
                Format($"{Better(group, row, "QEMU"):0.00}"),
                Wanted(row),
            ];
            text.AppendLine(CultureInfo.InvariantCulture, $"| {row.Title} | {string.Join(" | ", values)} |");
        }
    }

    /// <summary>The lines for README.md: the rows of raw disks and all others.</summary>
    public void AppendSummary(StringBuilder text)
    {
        foreach (DeviceGroup group in DeviceGroup.All)
        {
            foreach (DeviceRow row in MeasuredRows(group).Where(
                r => !r.Name.StartsWith(DeviceGroup.Qcow2Prefix, StringComparison.Ordinal)))
            {
                string[] values = [.. new[] { "native", "Ryokan", RyokanSystem.FirstStart, "QEMU" }.Select(
                    s => Show(row.Unit, Median(group.Name, row.Name, s)))];
                string times = Format($"{Better(group, row, "QEMU"):0.00}");
                Append(text, $"| {group.Title}: {row.Title} | {string.Join(" | ", values)} | {times} |");
            }
        }
    }

    private double? Median(string group, string row, string system) => samples.Median(group, row, system);

    /// <summary>How many times better than another system; below 1 is worse.</summary>
    private double? Better(DeviceGroup group, DeviceRow row, string other)
    {
        double? ours = Median(group.Name, row.Name, "Ryokan"), theirs = Median(group.Name, row.Name, other);
        return row.Unit == Unit.Seconds ? theirs / ours : ours / theirs;
    }

    private static string Wanted(DeviceRow row)
    {
        List<string> parts = [];
        if (row.TimesQemu is { } times)
        {
            parts.Add(Format($"{times:0.#} x QEMU"));
        }

        if (row.PartOfNative is { } part)
        {
            parts.Add(Percent(part) + " of native");
        }

        if (row.AtMost is { } most)
        {
            parts.Add("at most " + Show(Unit.Seconds, most));
        }

        return string.Join(", ", parts);
    }

    private static string Show(Unit unit, double? value) => (unit, value) switch
    {
        (_, null) => "-",
        (Unit.BytesPerSecond, _) => Format($"{value / (1 << 20):0} MiB/s"),
        (Unit.BitsPerSecond, _) => Format($"{value / 1e9:0.00} Gbit/s"),
        (Unit.PerSecond, _) => Format($"{value:0} /s"),
        (_, < 1e-3) => Format($"{value * 1e6:0} us"),
        (_, < 1) => Format($"{value * 1e3:0.0} ms"),
        _ => Format($"{value:0.00} s"),
    };

    private static string Percent(double? value) => value is { } v ? Format($"{v * 100:0} %") : "-";

    private static string Format(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static void Append(StringBuilder text, FormattableString line) => text.AppendLine(Format(line));
}
