using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;

namespace Ryokan.Xm.Commands;

/// <summary>xm mem-set, mem-max, vcpu-set, vcpu-pin, sched-credit.</summary>
internal static class SettingsCommands
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static Task<int> MemorySet(CommandContext context)
    {
        context.Parse(2, 2);
        return Apply(context, new DomainSettings { MemoryTargetKiB = KiB(context, context.Words[1]) });
    }

    public static Task<int> MemoryMax(CommandContext context)
    {
        context.Parse(2, 2);
        return Apply(context, new DomainSettings { MemoryMaximumKiB = KiB(context, context.Words[1]) });
    }

    /// <summary>A number with an optional unit: b, k, m (also without one), g, t.</summary>
    private static long KiB(CommandContext context, string text)
    {
        int shift = text.Length == 0 ? 0 : char.ToLowerInvariant(text[^1]) switch
        {
            't' => 30,
            'g' => 20,
            'm' => 10,
            'k' => 0,
            'b' => -10,
            _ => 10,
        };
        string digits = text.Length != 0 && char.IsAsciiLetter(text[^1]) ? text[..^1] : text;
        bool known = text.Length != 0
            && (!char.IsAsciiLetter(text[^1]) || "bkmgtBKMGT".Contains(text[^1], StringComparison.Ordinal));
        if (!known || !long.TryParse(digits, NumberStyles.None, Invariant, out long n)
            || (shift > 0 && n > long.MaxValue >> (shift + 10)))
        {
            throw context.Wrong(
                $"'{text}' is not a size: a number of MiB, or one with b, k, m, g or t after it");
        }
        return shift < 0 ? n >> -shift : n << shift;
    }

    public static async Task<int> VcpuSet(CommandContext context)
    {
        context.Parse(2, 2, "-i", "--ignore-host");
        int wanted = Number(context, context.Words[1], "a number of vCPUs");
        using DaemonClient daemon = await context.Connect();
        if (!context.Has("-i") && !context.Has("--ignore-host"))
        {
            await RefuseOvercommitment(daemon, context.Words[0], wanted);
        }
        return await Apply(daemon, context.Words[0], new DomainSettings { OnlineVcpus = wanted });
    }

    private static async Task RefuseOvercommitment(DaemonClient daemon, string domain, int wanted)
    {
        int cpus = (await daemon.Host()).Cpus;
        if (wanted <= cpus)
        {
            return;
        }
        int online = 0;
        foreach (VcpuInfo vcpu in (await daemon.Find(domain)).Vcpus)
        {
            online += vcpu.Activity == VcpuActivity.Offline ? 0 : 1;
        }
        if (wanted > online)
        {
            throw new UsageException(
                $"vcpu-set: the host has {cpus} CPUs; {wanted} vCPUs would overcommit it"
                + " (--ignore-host insists)");
        }
    }

    public static Task<int> VcpuPin(CommandContext context)
    {
        context.Parse(3, 4);
        int? vcpu = context.Words[1] == "all" ? null : Number(context, context.Words[1], "a vCPU, nor 'all'");
        if (context.Words.Count == 4 && context.Words[3] is not ("-" or "all"))
        {
            throw context.Wrong("soft affinity is not served: the host's scheduler knows none");
        }
        if (context.Words[2] == "-")
        {
            return Task.FromResult(0);
        }
        try
        {
            IReadOnlyList<int>? cpus = CpuRange.Parse(context.Words[2]);
            return Apply(context, new DomainSettings { Affinity = new VcpuAffinity(vcpu, cpus) });
        }
        catch (FormatException e)
        {
            throw context.Wrong(e.Message);
        }
    }

    public static async Task<int> SchedCredit(CommandContext context)
    {
        context.ParseWithValues("-d", "--domain", "-w", "--weight", "-c", "--cap");
        string? domain = context.Value("-d") ?? context.Value("--domain");
        string? weight = context.Value("-w") ?? context.Value("--weight");
        string? cap = context.Value("-c") ?? context.Value("--cap");
        using DaemonClient daemon = await context.Connect();
        if (weight == null && cap == null)
        {
            ShowCredit(domain == null ? await daemon.List() : [await daemon.Find(domain)]);
            return 0;
        }
        return await Apply(daemon, domain ?? throw context.Wrong("a domain is needed (-d)"), new DomainSettings
        {
            Weight = weight == null ? null : Number(context, weight, "a weight"),
            CapPercent = cap == null ? null : Number(context, cap, "a cap"),
        });
    }

    private static void ShowCredit(IReadOnlyList<DomainInfo> domains)
    {
        System.Console.WriteLine($"{"Name",-33} {"ID",4} {"Weight",6} {"Cap",4}");
        foreach (DomainInfo d in domains)
        {
            System.Console.WriteLine(string.Create(Invariant,
                $"{d.Name,-33} {d.Id,4} {d.Scheduling.Weight,6} {d.Scheduling.CapPercent,4}"));
        }
    }

    private static int Number(CommandContext context, string text, string what) =>
        int.TryParse(text, NumberStyles.None, Invariant, out int n) ? n
            : throw context.Wrong($"'{text}' is not {what}");

    private static async Task<int> Apply(CommandContext context, DomainSettings settings)
    {
        using DaemonClient daemon = await context.Connect();
        return await Apply(daemon, context.Words[0], settings);
    }

    private static async Task<int> Apply(DaemonClient daemon, string domain, DomainSettings settings)
    {
        SettingsResult result = await daemon.Set(domain, settings);
        if (result.Note != null)
        {
            System.Console.Error.WriteLine($"xm: note: {result.Note}");
        }
        return 0;
    }
}
