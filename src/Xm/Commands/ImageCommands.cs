using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Ryokan.Images;
using Ryokan.Storage;

namespace Ryokan.Xm.Commands;

/// <summary>xm image build, list, rm.</summary>
internal static class ImageCommands
{
    public const string Usage = "build NAME|debian-12 [--size 4G] [--format qcow2|raw] [--ssh-key FILE]..."
        + " [--hostname HOST] [--package P]... [--mirror URL] | list | rm NAME...";

    private const string Distribution = "debian-12", Release = "bookworm";
    private const ulong SmallestBytes = 1UL << 30, LargestBytes = 2UL << 40;

    public static Task<int> Run(CommandContext context)
    {
        ImageStore store = new(context.Places.Images);
        string[] words = [.. context.Arguments];
        switch (words)
        {
            case ["build", ..]:
                Build(context, store, Parse(context, words[1..]));
                break;
            case ["list" or "ls"]:
                List(store);
                break;
            case ["rm", _, ..]:
                foreach (string name in words[1..])
                {
                    store.Remove(name);
                }
                break;
            default:
                throw context.Wrong(
                    words is [] ? "an argument is missing" : $"'{string.Join(' ', words)}' is not known");
        }
        return Task.FromResult(0);
    }

    private static ImageRequest Parse(CommandContext context, string[] words)
    {
        string? name = null, hostName = null, mirror = null;
        ulong size = 4UL << 30;
        DiskFormat format = DiskFormat.Qcow2;
        List<string> keys = [], packages = [];
        for (int i = 0; i < words.Length; i++)
        {
            string word = words[i];
            if (!word.StartsWith('-'))
            {
                name = name == null ? word : throw context.Wrong($"'{word}' is one argument too many");
                continue;
            }
            string value = ++i < words.Length ? words[i] : throw context.Wrong($"{word}: a value is missing");
            switch (word)
            {
                case "--size": size = Size(context, value); break;
                case "--ssh-key": keys.AddRange(Keys(context, value)); break;
                case "--hostname": hostName = value; break;
                case "--package": packages.Add(Package(context, value)); break;
                case "--mirror": mirror = Mirror(context, value); break;
                case "--format" when DiskImages.TryParseFormat(value, out format): break;
                case "--format":
                    throw context.Wrong($"--format: '{value}' is not one of {DiskImages.FormatNames}");
                default: throw context.Wrong($"unknown option '{word}'");
            }
        }
        name ??= Distribution;
        if (ImageStore.NameError(name) is { } error)
        {
            throw context.Wrong($"'{name}': {error}");
        }
        hostName ??= name.Replace('_', '-').Replace('.', '-').Replace('+', '-');
        return IsHostName(hostName)
            ? new ImageRequest(name, Release, size, format, hostName, keys, packages, mirror)
            : throw context.Wrong($"--hostname: '{hostName}' is no host name: letters, digits and - do");
    }

    private static bool IsHostName(string text) =>
        text.Length is > 0 and <= 63 && text[0] != '-'
        && text[^1] != '-'
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c == '-');

    /// <summary>A number of bytes, or of K, M, G, T of them (powers of 1024).</summary>
    private static ulong Size(CommandContext context, string text)
    {
        string units = "KMGT";
        int unit = text.Length > 0 ? units.IndexOf(char.ToUpperInvariant(text[^1])) : -1;
        bool isNumber = ulong.TryParse(unit < 0 ? text : text[..^1], NumberStyles.None,
            CultureInfo.InvariantCulture,
            out ulong number);
        ulong scale = 1UL << (10 * (unit + 1));
        if (!isNumber || number > LargestBytes / scale || number * scale < SmallestBytes)
        {
            throw context.Wrong($"--size: '{text}' is not a size from 1G to 2T");
        }
        const ulong MiB = 1 << 20;
        return (number * scale + MiB - 1) / MiB * MiB;
    }

    private static IEnumerable<string> Keys(CommandContext context, string file)
    {
        try
        {
            string[] keys = [.. File.ReadAllLines(file).Where(line => line.Length > 0 && line[0] != '#')];
            return keys.Length > 0 && !keys[0].StartsWith("-----", StringComparison.Ordinal) ? keys
                : throw context.Wrong($"--ssh-key: {file}: no public key (it has the extension .pub)");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw context.Wrong($"--ssh-key: {e.Message}");
        }
    }

    private static string Package(CommandContext context, string name) =>
        name.Length > 1 && char.IsAsciiLetterOrDigit(name[0])
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '+' or '-' or '.' or ':') ? name
        : throw context.Wrong($"--package: '{name}' is no name of a package");

    private static string Mirror(CommandContext context, string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && uri.Scheme is "http" or "https" or "file"
        && !text.Any(char.IsWhiteSpace) ? text : throw context.Wrong($"--mirror: '{text}' is no URL");

    private static void Build(CommandContext context, ImageStore store, ImageRequest request)
    {
        context.Places.Create();
        bool terminal = !System.Console.IsErrorRedirected;
        string path = new ImageBuilder(store, line =>
        {
            // One line that changes, where there is somebody to watch it.
            string shown = line.Length > 78 ? line[..78] : line;
            System.Console.Error.Write(terminal ? $"\r{shown,-78}" : shown + "\n");
        }).Build(request);
        System.Console.Error.Write(terminal ? "\n" : "");
        string format = request.Format == DiskFormat.Qcow2 ? "qcow2" : "raw";
        System.Console.WriteLine($"""
            {path}
            A guest that boots it:
                name = "{request.Name}"
                memory = 512
                disk = ["{path},{format},xvda,rw"]
                bootloader = "pygrub"
                extra = "console=hvc0"
            """);
    }

    private static void List(ImageStore store)
    {
        System.Console.WriteLine(
            $"{"Name",-24} {"Format",-6} {"Size(MiB)",10} {"Used(MiB)",10} {"Changed",-17}");
        foreach (ImageInfo i in store.List())
        {
            string format = i.Format == DiskFormat.Qcow2 ? "qcow2" : "raw";
            string changed = i.Changed.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
            System.Console.WriteLine(
                $"{i.Name,-24} {format,-6} {i.SizeBytes >> 20,10} {i.UsedBytes >> 20,10} {changed,-17}");
        }
    }
}
