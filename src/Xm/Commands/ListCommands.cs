using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;

namespace Ryokan.Xm.Commands;

/// <summary>xm list, vcpu-list, uptime, domid, domname: tables with the columns and widths of xl.</summary>
internal static class ListCommands
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static async Task<int> List(CommandContext context)
    {
        context.Parse(0, int.MaxValue, "-l", "--long");
        IReadOnlyList<DomainInfo> domains = await Chosen(context);
        if (context.Has("-l") || context.Has("--long"))
        {
            System.Console.WriteLine(
                JsonSerializer.Serialize(domains, ApiJson.Default.IReadOnlyListDomainInfo));
            return 0;
        }
        System.Console.WriteLine(
            "Name                                        ID   Mem VCPUs\tState\tTime(s)");
        foreach (DomainInfo d in domains)
        {
            int online = d.Vcpus.Count(v => v.Activity != VcpuActivity.Offline);
            string row = string.Create(Invariant, $"{d.Name,-40} {d.Id,5} {d.MemoryMiB,5} {online,5}");
            System.Console.WriteLine(string.Create(Invariant,
                $"{row}     {Flags(d.State)}  {d.CpuSeconds,8:f1}"));
        }
        foreach (DomainInfo d in domains)
        {
            if (d.PauseReason != null)
            {
                System.Console.Error.WriteLine(
                    $"xm: {d.Name} is paused: {d.PauseReason}; make room, then 'xm unpause {d.Name}'");
            }
        }
        return 0;
    }

    /// <summary>
    /// Six places: running, blocked, paused, shut down, crashed, dying. A crashed domain is shut down too.
    /// </summary>
    private static string Flags(RunState state) => state switch
    {
        RunState.Running => "r-----",
        RunState.Blocked => "-b----",
        RunState.Paused => "--p---",
        RunState.Shutdown => "---s--",
        RunState.Crashed => "---sc-",
        _ => "-----d",
    };

    public static async Task<int> Vcpus(CommandContext context)
    {
        context.Parse(0, int.MaxValue);
        IReadOnlyList<DomainInfo> domains = await Chosen(context);
        System.Console.WriteLine(
            $"{"Name",-32} {"ID",5} {"VCPU",5} {"CPU",5} {"State",5} {"Time(s)",9} Affinity (Hard / Soft)");
        foreach (DomainInfo d in domains)
        {
            foreach (VcpuInfo v in d.Vcpus)
            {
                string state = v.Activity switch
                {
                    VcpuActivity.Running => "r--",
                    VcpuActivity.Blocked => "-b-",
                    _ => "--p",
                };
                string cpu = v.Activity == VcpuActivity.Offline ? "-" : v.Processor?.ToString(Invariant) ?? "-";
                string place = string.Create(Invariant, $"{d.Name,-32} {d.Id,5} {v.Id,5} {cpu,5} {state,5}");
                System.Console.WriteLine(string.Create(Invariant,
                    $"{place} {v.CpuSeconds,9:f1}  {CpuRange.Show(v.Affinity)} / all"));
            }
        }
        return 0;
    }

    public static async Task<int> Uptime(CommandContext context)
    {
        context.Parse(0, int.MaxValue);
        IReadOnlyList<DomainInfo> domains = await Chosen(context);
        System.Console.WriteLine($"{"Name",-33} {"ID",4} Uptime");
        foreach (DomainInfo d in domains)
        {
            TimeSpan up = DateTimeOffset.UtcNow - d.Started;
            string days = up.Days switch
            {
                0 => "",
                1 => "1 day, ",
                var n => string.Create(Invariant, $"{n} days, "),
            };
            System.Console.WriteLine(string.Create(Invariant,
                $"{d.Name,-33} {d.Id,4} {days}{up.Hours,2}:{up.Minutes:d2}:{up.Seconds:d2}"));
        }
        return 0;
    }

    public static async Task<int> Id(CommandContext context)
    {
        context.Parse(1, 1);
        using DaemonClient daemon = await context.Connect();
        System.Console.WriteLine((await daemon.Find(context.Words[0])).Id.ToString(Invariant));
        return 0;
    }

    public static async Task<int> Name(CommandContext context)
    {
        context.Parse(1, 1);
        if (!int.TryParse(context.Words[0], NumberStyles.None, Invariant, out _))
        {
            throw context.Wrong($"'{context.Words[0]}' is not a domain id");
        }
        using DaemonClient daemon = await context.Connect();
        System.Console.WriteLine((await daemon.Find(context.Words[0])).Name);
        return 0;
    }

    /// <summary>The domains named on the command line, or all.</summary>
    private static async Task<IReadOnlyList<DomainInfo>> Chosen(CommandContext context)
    {
        using DaemonClient daemon = await context.Connect();
        if (context.Words.Count == 0)
        {
            return await daemon.List();
        }
        List<DomainInfo> domains = [];
        foreach (string word in context.Words)
        {
            domains.Add(await daemon.Find(word));
        }
        return domains;
    }
}
