using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Reflection;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon.Rest;

/// <summary>Reads what <c>xm info</c> shows about the machine from /proc.</summary>
internal static class HostFacts
{
    public static HostInfo Read(int domains) => new()
    {
        Host = Environment.MachineName,
        Release = ReadLine("/proc/sys/kernel/osrelease"),
        Version = ReadLine("/proc/sys/kernel/version"),
        Machine = "x86_64",
        Cpus = Environment.ProcessorCount,
        CpuMHz = CpuMHz(),
        TotalMemoryMiB = MemoryMiB("MemTotal:"),
        FreeMemoryMiB = MemoryMiB("MemAvailable:"),
        MonitorVersion = Assembly.GetExecutingAssembly().GetName().Version?.ToString(3) ?? "0.0.0",
        DaemonProcessId = Environment.ProcessId,
        Domains = domains,
    };

    private static string ReadLine(string path)
    {
        try
        {
            return File.ReadAllText(path).TrimEnd();
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static double CpuMHz() =>
        File.ReadLines("/proc/cpuinfo")
            .FirstOrDefault(l => l.StartsWith("cpu MHz", StringComparison.Ordinal)) is { } line
            && double.TryParse(line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..],
                NumberStyles.Float, CultureInfo.InvariantCulture, out double mhz) ? mhz : 0;

    private static long MemoryMiB(string field) =>
        File.ReadLines("/proc/meminfo")
            .FirstOrDefault(l => l.StartsWith(field, StringComparison.Ordinal)) is { } line
            && long.TryParse(line[field.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(),
                NumberStyles.None, CultureInfo.InvariantCulture, out long kib) ? kib >> 10 : 0;
}
