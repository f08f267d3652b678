using System;
using System.Globalization;
using System.IO;
using Ryokan.Api.Guests;

namespace Ryokan.DomainHost.Direct;

/// <summary>The command line of <c>--direct</c>.</summary>
internal static class DirectOptions
{
    public const string Usage =
        "usage: Ryokan.DomainHost --direct --kernel FILE [--ramdisk FILE] [--cmdline TEXT]"
        + " [--memory MiB] [--vcpus N] [--engine VARIANT] [--store FILE] [--journal FILE]";

    /// <exception cref="OperatorException">with one line that says what is wrong</exception>
    public static GuestSpec Parse(ReadOnlySpan<string> arguments)
    {
        string? kernel = null, ramdisk = null, variant = null, store = null, journal = null;
        string commandLine = "console=hvc0";
        int memory = 256, vcpus = 1;
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string option = arguments[i];
            string value = i + 1 < arguments.Length ? arguments[i + 1]
                : throw new OperatorException($"{option}: a value is missing");
            switch (option)
            {
                case "--kernel": kernel = Path.GetFullPath(value); break;
                case "--ramdisk": ramdisk = Path.GetFullPath(value); break;
                case "--cmdline": commandLine = value; break;
                case "--engine": variant = value; break;
                case "--store": store = Existing(option, value); break;
                case "--journal": journal = Path.GetFullPath(value); break;
                case "--memory": memory = Number(option, value, 1 << 20); break;
                case "--vcpus": vcpus = Number(option, value, 32); break;
                default: throw new OperatorException($"{option}: unknown option; {Usage}");
            }
        }
        return new GuestSpec(1, new GuestConfig
        {
            Name = "direct",
            Uuid = Guid.NewGuid(),
            Kernel = kernel ?? throw new OperatorException($"--kernel is missing; {Usage}"),
            Ramdisk = ramdisk,
            CommandLine = commandLine,
            MemoryMiB = memory,
            MaxMemoryMiB = memory,
            Vcpus = vcpus,
            MaxVcpus = vcpus,
        }, variant)
        {
            TranslationStore = store,
            TranslationJournal = journal,
        };
    }

    /// <summary>Only for what was made for this program and processor is a store of use, so without one a guest starts all the same: not when it was asked for.</summary>
    private static string Existing(string option, string value) =>
        File.Exists(value) ? Path.GetFullPath(value) : throw new OperatorException($"{option}: {value}: there is no such file");

    private static int Number(string option, string value, int max) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n >= 1 && n <= max
            ? n
            : throw new OperatorException($"{option}: '{value}' is not a number from 1 to {max}");
}
