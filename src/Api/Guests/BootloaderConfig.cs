using System;
using System.Collections.Generic;

namespace Ryokan.Api.Guests;

/// <summary>
/// How the kernel is found in the guest's first disk (xl.cfg: bootloader = "pygrub", bootloader_args). Null: as
/// the disk says. Immutable.
/// </summary>
/// <param name="Kernel">path of the kernel in the disk</param>
/// <param name="Ramdisk">path of the initial ramdisk in the disk</param>
/// <param name="Entry">menu entry of grub.cfg: number, title or id</param>
/// <param name="Arguments">more words for the kernel</param>
public sealed record BootloaderConfig(string? Kernel, string? Ramdisk, string? Entry, string? Arguments)
{
    private const string Known = "--kernel=, --ramdisk=, --entry= and --args=";

    /// <summary>Reads the words that pygrub takes.</summary>
    /// <exception cref="FormatException">a word is not known; the message is one line</exception>
    public static BootloaderConfig Parse(IEnumerable<string> words)
    {
        BootloaderConfig config = new(null, null, null, null);
        foreach (string word in words)
        {
            int at = word.IndexOf('=', StringComparison.Ordinal);
            (string option, string value) = at < 0 ? (word, "") : (word[..at], word[(at + 1)..]);
            config = option switch
            {
                "--kernel" when IsPath(value) => config with { Kernel = value },
                "--ramdisk" when IsPath(value) => config with { Ramdisk = value },
                "--entry" when value.Length > 0 => config with { Entry = value },
                "--args" when at > 0 => config with { Arguments = value },
                "--kernel" or "--ramdisk" => throw new FormatException(
                    $"{option} needs an absolute path in the guest's disk, as in {option}=/boot/NAME"),
                "--quiet" or "-q" => config,
                _ => throw new FormatException($"'{XlConfigParser.Shown(word)}' is not served; known are {Known}"),
            };
        }
        return config;
    }

    private static bool IsPath(string value) =>
        value.StartsWith('/') && value.Length > 1 && !value.Contains('\0', StringComparison.Ordinal);
}
