using System;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Wire;

namespace Ryokan.Xm.Commands;

/// <summary>xm info, dmesg.</summary>
internal static class HostCommands
{
    public static async Task<int> Info(CommandContext context)
    {
        context.Parse(0, 0);
        using DaemonClient daemon = await context.Connect();
        HostInfo host = await daemon.Host();
        Row("host", host.Host);
        Row("release", host.Release);
        Row("version", host.Version);
        Row("machine", host.Machine);
        Row("nr_cpus", host.Cpus.ToString(CultureInfo.InvariantCulture));
        Row("cpu_mhz", host.CpuMHz.ToString("f3", CultureInfo.InvariantCulture));
        Row("virt_caps", "pv");
        Row("total_memory", host.TotalMemoryMiB.ToString(CultureInfo.InvariantCulture));
        Row("free_memory", host.FreeMemoryMiB.ToString(CultureInfo.InvariantCulture));
        Row("xen_caps", "xen-3.0-x86_64");
        Row("xen_pagesize", "4096");
        Row("ryokan_version", host.MonitorVersion);
        Row("ryokand_pid", host.DaemonProcessId.ToString(CultureInfo.InvariantCulture));
        Row("domains", host.Domains.ToString(CultureInfo.InvariantCulture));
        return 0;
    }

    private static void Row(string key, string value) => System.Console.WriteLine($"{key,-23}: {value}");

    public static async Task<int> Messages(CommandContext context)
    {
        context.Parse(0, 0, "-c");
        using DaemonClient daemon = await context.Connect();
        byte[] messages = await daemon.Messages();
        using Stream output = System.Console.OpenStandardOutput();
        output.Write(messages);
        if (context.Has("-c"))
        {
            await daemon.ClearMessages();
        }
        return 0;
    }
}
