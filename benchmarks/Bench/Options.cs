using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Ryokan.Bench.Devices;

namespace Ryokan.Bench;

/// <summary>The command line.</summary>
internal sealed class Options
{
    public const string Usage = """
        usage: ./bench [--quick] [--rounds N] [--only GROUP[,GROUP...]] [--no-qemu] [--no-ryokan] [--output DIRECTORY]
                       [--readme]
          --readme: put the summary into README.md
          GROUP: cpu, kernel, real, scale, boot, idle, disk, network, debian-boot, services
        """;

    /// <summary>How often everything is run; the tables show medians.</summary>
    public int Rounds { get; private set; } = 5;

    public bool WithQemu { get; private set; } = true;

    public bool WithRyokan { get; private set; } = true;

    /// <summary>Where the report goes.</summary>
    public string Output { get; private set; } = "benchmarks/results";

    /// <summary>True when the summary goes into README.md, between its two marks.</summary>
    public bool UpdateReadme { get; private set; }

    private HashSet<string>? _only;

    /// <summary>True when the group was asked for, by name or by asking for nothing.</summary>
    public bool Wants(string group) => _only is null || _only.Contains(group);

    /// <exception cref="FormatException">an argument that is not known, or has a bad value</exception>
    public static Options Parse(string[] arguments)
    {
        Options options = new();
        Queue<string> rest = new(arguments);
        while (rest.TryDequeue(out string? argument))
        {
            switch (argument)
            {
                case "--quick":
                    options.Rounds = 1;
                    break;
                case "--rounds":
                    options.Rounds = ParseRounds(Value(rest, argument));
                    break;
                case "--only":
                    options._only = ParseGroups(Value(rest, argument));
                    break;
                case "--no-qemu":
                    options.WithQemu = false;
                    break;
                case "--no-ryokan":
                    options.WithRyokan = false;
                    break;
                case "--readme":
                    options.UpdateReadme = true;
                    break;
                case "--output":
                    options.Output = Value(rest, argument);
                    break;
                default:
                    throw new FormatException($"unknown argument {argument}");
            }
        }

        return options;
    }

    private static string Value(Queue<string> rest, string argument) =>
        rest.TryDequeue(out string? value) ? value : throw new FormatException($"{argument} needs a value");

    private static int ParseRounds(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int rounds) && rounds is >= 1 and <= 100
            ? rounds
            : throw new FormatException($"--rounds takes 1 to 100, not {text}");

    private static HashSet<string> ParseGroups(string text)
    {
        HashSet<string> known =
            ["cpu", "kernel", "real", "scale", "boot", "idle", .. DeviceGroup.All.Select(g => g.Name)];
        HashSet<string> groups = [.. text.Split(',')];
        foreach (string group in groups)
        {
            if (!known.Contains(group))
            {
                throw new FormatException($"--only: there is no group {group}");
            }
        }

        return groups;
    }
}
