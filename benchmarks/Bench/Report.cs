using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using Ryokan.Bench.Devices;

namespace Ryokan.Bench;

/// <summary>Writes the measurements as Markdown for people and as JSON for programs.</summary>
internal sealed class Report(Options options, Samples samples, IReadOnlyList<(string Name, string Value)> machine)
{
    private static readonly string[] _systems = ["native", "Ryokan", RyokanSystem.FirstStart, "QEMU"];

    /// <summary>The whole report.</summary>
    public string Markdown()
    {
        StringBuilder text = new();
        text.AppendLine("# Benchmark").AppendLine();
        foreach ((string name, string value) in machine)
        {
            Append(text, $"* {name}: {value}");
        }

        text.AppendLine();
        text.AppendLine("Medians over the rounds. The columns with x are times native: 1 is the host itself. Ryokan keeps what it");
        text.AppendLine("translated for later guests: first start is a guest before which there was none on the host.");
        foreach (Group group in Group.All.Where(g => g.Name != "scale" && samples.Rows(g.Name).Any()))
        {
            AppendGroup(text, group);
        }

        AppendScale(text);
        AppendBoot(text);
        new DeviceReport(samples).Append(text);
        AppendIdle(text);
        AppendList(text, "Not measured", samples.Skipped);
        AppendList(text, "Problems", samples.Problems.Distinct());
        return text.ToString();
    }

    /// <summary>The few figures that README.md shows; what was not measured is not mentioned.</summary>
    /// <param name="source">The file with the whole report, relative to the repository.</param>
    public string Summary(string source)
    {
        StringBuilder text = new();
        foreach (Group group in Group.All.Where(g => samples.GeometricMean(g.Name, "Ryokan") is not null))
        {
            if (group.Name != "scale")
            {
                string means = Ratios(s => samples.GeometricMean(group.Name, s));
                Append(text, $"| {group.Title}, times native (geometric mean) | {means} |");
            }
        }

        if (samples.Median("boot", "boot", "Ryokan") is { } boot)
        {
            string qemu = Time(samples.Median("boot", "boot", "QEMU"));
            string first = Time(samples.Median("boot", "boot", RyokanSystem.FirstStart));
            Append(text, $"| From the command to the first line of user space | {Time(boot)} | {first} | {qemu} |");
        }

        if (Scaling("Ryokan") is { } scaling)
        {
            Append(text, $"| Work of two vCPUs compared with one | {Factor(scaling)} | - | {Factor(Scaling("QEMU"))} |");
        }

        return Framed(text, "| | Ryokan | first start | QEMU (TCG) |", "|---|---:|---:|---:|", source);
    }

    /// <summary>The same for the devices.</summary>
    public string DeviceSummary(string source)
    {
        StringBuilder text = new();
        new DeviceReport(samples).AppendSummary(text);
        return Framed(text, "| | native | Ryokan | first start | QEMU (TCG) | times QEMU |", "|---|---:|---:|---:|---:|---:|", source);
    }

    /// <summary>Puts a heading before the lines and says behind them what they are; nothing when there are none.</summary>
    private string Framed(StringBuilder lines, string heading, string ruler, string source)
    {
        if (lines.Length == 0)
        {
            return "";
        }

        StringBuilder text = new();
        text.AppendLine(heading).AppendLine(ruler).Append(lines).AppendLine();
        string[] shown = ["host CPU", "host cores", "date", "QEMU"];
        string facts = string.Join("; ", machine.Where(m => shown.Contains(m.Name)).Select(m => m.Value));
        Append(text, $"Measured by `./bench` ({facts}). All rows: [{source}]({source}).");
        return text.ToString();
    }

    private static void Append(StringBuilder text, FormattableString line) =>
        text.AppendLine(line.ToString(CultureInfo.InvariantCulture));

    private void AppendGroup(StringBuilder text, Group group)
    {
        text.AppendLine();
        Append(text, $"## {group.Title}");
        text.AppendLine();
        text.AppendLine("| | native | Ryokan | first start | QEMU | Ryokan x | first start x | QEMU x |");
        text.AppendLine("|---|---:|---:|---:|---:|---:|---:|---:|");
        foreach (string row in samples.Rows(group.Name))
        {
            IEnumerable<string> times = _systems.Select(s => Time(samples.Median(group.Name, row, s)));
            Append(text, $"| {row} | {string.Join(" | ", times)} | {Ratios(s => samples.Ratio(group.Name, row, s))} |");
        }

        string means = Ratios(s => samples.GeometricMean(group.Name, s));
        Append(text, $"| **geometric mean** | | | | | {means} |");
        if (group.Goal is { } goal)
        {
            text.AppendLine();
            Append(text, $"Wanted for Ryokan: a geometric mean of at most {goal} x.");
        }
    }

    private static string Ratios(Func<string, double?> of) =>
        $"{Factor(of("Ryokan"))} | {Factor(of(RyokanSystem.FirstStart))} | {Factor(of("QEMU"))}";

    private void AppendScale(StringBuilder text)
    {
        if (!samples.Rows("scale").Any())
        {
            return;
        }

        text.AppendLine();
        text.AppendLine("## Two vCPUs").AppendLine();
        text.AppendLine("Work done in the same time by two CPU-bound guest processes, compared with one (wanted: 1.8).");
        text.AppendLine();
        text.AppendLine("| native | Ryokan | QEMU |").AppendLine("|---:|---:|---:|");
        string[] scaled = ["native", "Ryokan", "QEMU"];
        Append(text, $"| {string.Join(" | ", scaled.Select(s => Factor(Scaling(s))))} |");
    }

    /// <summary>Throughput of two processes over that of one.</summary>
    private double? Scaling(string system) =>
        2 * samples.Median("scale", "scale-1", system) / samples.Median("scale", "scale-2", system);

    private void AppendBoot(StringBuilder text)
    {
        string[] rows = ["boot", "boot-quiet"];
        if (!rows.Any(r => _systems.Any(s => samples.Median("boot", r, s) is not null)))
        {
            return;
        }

        text.AppendLine();
        text.AppendLine("## Boot").AppendLine();
        text.AppendLine("From the command to the guest's first line of user space; 256 MiB, a 1 MB initramfs");
        text.AppendLine("(wanted of Ryokan: 1.2 s).").AppendLine();
        text.AppendLine("| | Ryokan | first start | QEMU |").AppendLine("|---|---:|---:|---:|");
        foreach ((string row, string title) in rows.Zip(["kernel messages on the console", "quiet"]))
        {
            IEnumerable<string> times = _systems.Skip(1).Select(s => Time(samples.Median("boot", row, s)));
            Append(text, $"| {title} | {string.Join(" | ", times)} |");
        }
    }

    private void AppendIdle(StringBuilder text)
    {
        (string Row, string Title, Func<double, string> Show)[] rows =
        [
            ("cpu", "an idle guest's use of one core (wanted: 1 %)", v => Format($"{v * 100:0.00} %")),
            ("resident", "domain process beyond guest RAM, idle (wanted: 100 MiB)", Mebibytes),
            .. Group.All.Select<Group, (string, string, Func<double, string>)>(
                g => ("resident-" + g.Name, $"the same, largest while the {g.Name} group ran", Mebibytes)),
            ("xm-list", "`xm list` (wanted: 0.2 s)", v => Time(v)),
        ];
        if (!rows.Any(r => samples.Median("idle", r.Row, "Ryokan") is not null))
        {
            return;
        }

        text.AppendLine();
        text.AppendLine("## The domain process").AppendLine();
        text.AppendLine("| | Ryokan |").AppendLine("|---|---:|");
        foreach ((string row, string title, Func<double, string> show) in rows)
        {
            if (samples.Median("idle", row, "Ryokan") is { } value)
            {
                Append(text, $"| {title} | {show(value)} |");
            }
        }
    }

    private static void AppendList(StringBuilder text, string title, IEnumerable<string> lines)
    {
        string[] all = [.. lines];
        if (all.Length > 0)
        {
            text.AppendLine();
            Append(text, $"## {title}");
            text.AppendLine();
            Array.ForEach(all, line => Append(text, $"* {line}"));
        }
    }

    private static string Format(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Mebibytes(double bytes) => Format($"{bytes / 1024 / 1024:0.0} MiB");

    private static string Factor(double? value) => value is { } v ? Format($"{v:0.00}") : "-";

    private static string Time(double? seconds) => seconds switch
    {
        null => "-",
        < 1e-6 => Format($"{seconds * 1e9:0.0} ns"),
        < 1e-3 => Format($"{seconds * 1e6:0.00} us"),
        < 1 => Format($"{seconds * 1e3:0.0} ms"),
        _ => Format($"{seconds:0.00} s"),
    };

    /// <summary>Every single measurement, so that later questions need no new run.</summary>
    public void WriteJson(Stream stream)
    {
        using Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteStartObject("machine");
        foreach ((string name, string value) in machine)
        {
            json.WriteString(name, value);
        }

        json.WriteEndObject();
        json.WriteStartObject("groups");
        foreach (Group group in Group.All)
        {
            WriteRows(json, group.Name, samples.Rows(group.Name));
        }

        WriteRows(json, "boot", ["boot", "boot-quiet"]);
        WriteRows(json, "idle", ["cpu", "resident", .. Group.All.Select(g => "resident-" + g.Name), "xm-list"]);
        foreach (DeviceGroup group in DeviceGroup.All)
        {
            WriteRows(json, group.Name, group.Rows.Select(r => r.Name));
        }

        json.WriteEndObject();
        json.WriteStartArray("problems");
        foreach (string problem in samples.Problems.Distinct())
        {
            json.WriteStringValue(problem);
        }

        json.WriteEndArray();
        json.WriteNumber("rounds", options.Rounds);
        json.WriteEndObject();
    }

    private void WriteRows(Utf8JsonWriter json, string group, IEnumerable<string> rows)
    {
        json.WriteStartObject(group);
        foreach (string row in rows)
        {
            json.WriteStartObject(row);
            foreach (string system in DeviceReport.Systems.Where(s => samples.Values(group, row, s).Count > 0))
            {
                json.WriteStartArray(system);
                foreach (double value in samples.Values(group, row, system))
                {
                    json.WriteNumberValue(value);
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
    }
}
