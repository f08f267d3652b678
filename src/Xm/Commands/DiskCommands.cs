using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Wire;

namespace Ryokan.Xm.Commands;

/// <summary>xm block-attach, block-detach, block-list, block-resize, cd-insert, cd-eject.</summary>
internal static class DiskCommands
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static async Task<int> Attach(CommandContext context)
    {
        context.Parse(2, int.MaxValue);
        DiskConfig disk;
        try
        {
            disk = DiskSpecification.Parse(
                string.Join(',', context.Words.GetRange(1, context.Words.Count - 1)),
                Directory.GetCurrentDirectory());
        }
        catch (FormatException e)
        {
            throw context.Wrong(e.Message);
        }
        using DaemonClient daemon = await context.Connect();
        await daemon.AttachDisk(context.Words[0], disk);
        return 0;
    }

    public static async Task<int> Detach(CommandContext context)
    {
        context.Parse(2, 2, "--force", "-f");
        using DaemonClient daemon = await context.Connect();
        await daemon.DetachDisk(
            context.Words[0], context.Words[1], context.Has("--force") || context.Has("-f"));
        return 0;
    }

    public static async Task<int> List(CommandContext context)
    {
        context.Parse(1, int.MaxValue, "-l", "--long");
        using DaemonClient daemon = await context.Connect();
        bool isLong = context.Has("-l") || context.Has("--long");
        if (!isLong)
        {
            Row("Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path");
        }
        foreach (string domain in context.Words)
        {
            int id = (await daemon.Find(domain)).Id;
            foreach (DiskInfo d in await daemon.Disks(domain))
            {
                if (isLong)
                {
                    Describe(d);
                    continue;
                }
                Row(Text(d.DeviceId), "0", Text(id), Text(d.State), Text(d.EventChannel), Text(d.RingReference),
                    d.BackendPath);
            }
        }
        return 0;
    }

    private static void Row(
        string vdev, string backend, string handle, string state, string channel, string ring, string path) =>
        System.Console.WriteLine(
            $"{vdev,-5} {backend,-3} {handle,-6} {state,-5} {channel,-6} {ring,-8} {path}");

    private static string Text(long? value) => value?.ToString(Invariant) ?? "-1";

    private static void Describe(DiskInfo d)
    {
        string size = string.Create(Invariant, $"{d.SizeBytes} bytes ({d.SizeBytes / 1048576.0:f1} MiB)");
        string access = d.ReadOnly ? "read-only" : "read-write";
        string kind = d.IsCdRom ? "cdrom" : "disk";
        System.Console.WriteLine(d.Path == null
            ? $"{d.VirtualDevice}: {kind}, no medium"
            : $"{d.VirtualDevice}: {kind}, {access}, {size}, {d.Format.ToString().ToLowerInvariant()} {d.Path}");
    }

    public static async Task<int> Resize(CommandContext context)
    {
        context.Parse(2, 3);
        DiskChange change = context.Words.Count == 2 ? new DiskChange { Refresh = true }
            : new DiskChange { SizeBytes = Bytes(context, context.Words[2]) };
        using DaemonClient daemon = await context.Connect();
        DiskInfo disk = await daemon.ChangeDisk(context.Words[0], context.Words[1], change);
        System.Console.WriteLine(string.Create(Invariant, $"{disk.VirtualDevice}: {disk.SizeBytes} bytes"));
        return 0;
    }

    /// <summary>A number of bytes, or with k, m, g, t in powers of 1024.</summary>
    private static ulong Bytes(CommandContext context, string text)
    {
        int shift = text.Length == 0 ? 0 : char.ToLowerInvariant(text[^1]) switch
        {
            'k' => 10,
            'm' => 20,
            'g' => 30,
            't' => 40,
            _ => 0,
        };
        string digits = shift == 0 ? text : text[..^1];
        bool valid = ulong.TryParse(digits, NumberStyles.None, Invariant, out ulong number)
            && number > 0 && number <= ulong.MaxValue >> shift;
        return valid ? number << shift
            : throw context.Wrong($"'{text}' is not a size: bytes, or a number with k, m, g or t");
    }

    public static async Task<int> Insert(CommandContext context)
    {
        context.Parse(3, 4);
        DiskImageFormat format = context.Words.Count == 3 ? DiskImageFormat.Raw : context.Words[3] switch
        {
            "raw" => DiskImageFormat.Raw,
            "qcow2" => DiskImageFormat.Qcow2,
            var other => throw context.Wrong($"'{other}' is not one of raw, qcow2"),
        };
        string path = Path.GetFullPath(context.Words[2]);
        return await Change(context, new DiskChange { MediumPath = path, MediumFormat = format });
    }

    public static Task<int> Eject(CommandContext context)
    {
        context.Parse(2, 2);
        return Change(context, new DiskChange { Eject = true });
    }

    private static async Task<int> Change(CommandContext context, DiskChange change)
    {
        using DaemonClient daemon = await context.Connect();
        await daemon.ChangeDisk(context.Words[0], context.Words[1], change);
        return 0;
    }
}
