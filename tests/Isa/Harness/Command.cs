using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Iced.Intel;
using Ryokan.Isa.Tests.Generate;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>The command line of the tests; see <see cref="Program"/>.</summary>
public static class Command
{
    public static int Run(string[] arguments, TextWriter output)
    {
        switch (arguments)
        {
            case ["random", var first, var count, .. var rest]:
                return Report(output, rest.FirstOrDefault(DefaultSide), campaign =>
                    CaseSource.Random(BitnessOf(rest), Number(first), (int)Number(count), campaign.Run));
            case ["systematic", var stride, .. var rest]:
                return Report(output, rest.FirstOrDefault(DefaultSide), campaign => CaseSource.Systematic(
                    BitnessOf(rest), 1, (int)Number(stride), rest.ElementAtOrDefault(1) ?? "", campaign.Run));
            case ["repeat", var name, .. var rest]:
                return Report(output, rest.FirstOrDefault(DefaultSide), campaign =>
                {
                    (CaseBuilder builder, GeneratedCase generated) = CaseSource.ByName(name);
                    campaign.Run(builder, generated);
                });
            case ["supervise", .. var rest]:
                return Supervisor.Run(rest, output);
            case ["codes"]:
                return ListCodes(output);
            default:
                output.WriteLine("isa random FIRST COUNT [SIDE] | systematic STRIDE [SIDE [PREFIX]] | repeat NAME [SIDE] | codes");
                return 2;
        }
    }

    private static string DefaultSide => Sides.EngineVariants.Count > 0 ? Sides.EngineVariants[0] : Sides.Host;

    private static int BitnessOf(string[] rest) => rest.Contains("32") ? 32 : 64;

    private static ulong Number(string text) => ulong.Parse(text, CultureInfo.InvariantCulture);

    private static int Report(TextWriter output, string side, Action<Campaign> work)
    {
        string? progress = Environment.GetEnvironmentVariable("ISA_PROGRESS");
        using ICaseRunner host = new NativeRunner(), other = Sides.Open(side);
        using var marker = progress == null ? null : new ProgressMarker(progress);
        string? after = Environment.GetEnvironmentVariable("ISA_AFTER");
        var campaign = new Campaign(host, other)
        {
            Reduces = Environment.GetEnvironmentVariable("ISA_REDUCE") != "0",
            Starting = marker == null ? null : marker.Set, SkipThrough = string.IsNullOrEmpty(after) ? null : after,
        };
        var clock = System.Diagnostics.Stopwatch.StartNew();
        work(campaign);
        marker?.Set("");
        foreach (IGrouping<string, Failure> group in
            campaign.Failures.GroupBy(f => f.Class).OrderByDescending(g => g.Count()))
        {
            output.WriteLine($"== {group.Count()} x {group.Key}");
            output.WriteLine(group.First().Text);
        }
        output.WriteLine($"{side}: {campaign.Cases} cases, {campaign.Instructions} instructions, "
            + $"{campaign.Completed} ran to their end, {campaign.Failed} failed; {clock.Elapsed.TotalSeconds:f1} s");
        return campaign.Failed == 0 ? 0 : 1;
    }

    private static int ListCodes(TextWriter output)
    {
        foreach (CatalogEntry entry in InstructionCatalog.For(64))
        {
            output.WriteLine($"{entry.Family} {entry.Code}");
        }
        foreach (Code code in Enum.GetValues<Code>())
        {
            bool offered = code.ToOpCode() is { IsInstruction: true, Mode64: true }
                && code.CpuidFeatures().All(InstructionCatalog.Features.Contains);
            if (offered && InstructionCatalog.Excluded(code) is string reason)
            {
                output.WriteLine($"not generated: {code}: {reason}");
            }
        }
        return 0;
    }
}

/// <summary>Keeps the name of the running case in a file, so that it outlives a crash of this process.</summary>
public sealed class ProgressMarker(string path) : IDisposable
{
    private readonly FileStream _file = new(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);

    public void Set(string name)
    {
        Span<byte> line = stackalloc byte[256];
        line.Fill((byte)' ');
        System.Text.Encoding.UTF8.GetBytes(name.AsSpan(0, Math.Min(name.Length, 250)), line);
        line[255] = (byte)'\n';
        RandomAccess.Write(_file.SafeFileHandle, line, 0);
    }

    public void Dispose() => _file.Dispose();
}
