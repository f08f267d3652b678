using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Ryokan.Bench;

/// <summary>What the figures were measured on and with.</summary>
internal static class Machine
{
    /// <summary>Pairs of a name and a value, in the order of the report.</summary>
    public static IReadOnlyList<(string Name, string Value)> Describe(Options options, Layout layout)
    {
        List<(string, string)> facts =
        [
            ("date", DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
            ("commit", FirstLine("git", "describe", "--always", "--dirty")),
            ("host CPU", CpuModel()),
            ("host cores", Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture)),
            ("host kernel", FirstLine("uname", "-r")),
            ("guest kernel", Path.GetFileName(File.ResolveLinkTarget(layout.Kernel, true)?.FullName ?? layout.Kernel)),
            ("rounds", options.Rounds.ToString(CultureInfo.InvariantCulture)),
        ];
        if (options.WithQemu)
        {
            facts.Add(("QEMU", FirstLine("qemu-system-x86_64", "--version")));
        }

        return facts;
    }

    private static string CpuModel() => File.ReadLines("/proc/cpuinfo")
        .Where(l => l.StartsWith("model name", StringComparison.Ordinal))
        .Select(l => l[(l.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim())
        .FirstOrDefault("unknown");

    private static string FirstLine(string command, params string[] arguments)
    {
        using ConsoleProcess process = new(command, arguments);
        process.WaitForExit(TimeSpan.FromSeconds(10));
        return process.Lines.Select(l => l.Text).FirstOrDefault("unknown");
    }
}
