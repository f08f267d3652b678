using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Guests.Network;
using Ryokan.Api.Wire;

namespace Ryokan.Api.Guests;

/// <summary>
/// Turns the assignments of a description into a <see cref="GuestConfig"/>, and says exactly what is wrong.
/// </summary>
public sealed partial class GuestConfigReader
{
    public const int MaxNameLength = 64;
    public const int MaxMemoryMiB = 512 << 10;
    public const int MaxVcpus = 8;

    /// <summary>What a guest gets that does not say.</summary>
    public const int DefaultMemoryMiB = 256;

    private readonly Dictionary<string, XlAssignment> _set = new(StringComparer.Ordinal);
    private readonly List<string> _warnings = [];
    private readonly string _file;
    private readonly string _directory;

    private GuestConfigReader(string file, string directory) => (_file, _directory) = (file, directory);

    /// <summary>Reads a description file and applies <c>key=val</c> words over it.</summary>
    /// <param name="file">path; relative paths in it are relative to the current directory, as with
    /// xl</param>
    /// <param name="overrides">words of the command line</param>
    /// <param name="warnings">one line each: keys that have no effect yet</param>
    /// <exception cref="GuestConfigException">one clear line</exception>
    public static GuestConfig ReadFile(
        string file, IEnumerable<string> overrides, out IReadOnlyList<string> warnings)
    {
        string text;
        try
        {
            byte[] bytes = File.ReadAllBytes(file);
            text = new UTF8Encoding(false, true).GetString(bytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new GuestConfigException(
                $"{file}: {(e is FileNotFoundException or DirectoryNotFoundException
                ? "no such file" : "cannot be read (permission denied, or a directory)")}");
        }
        catch (ArgumentException)
        {
            throw new GuestConfigException($"{file}: not a text file in UTF-8");
        }
        return Read(text, file, Directory.GetCurrentDirectory(), overrides, out warnings);
    }

    /// <summary>
    /// As <see cref="ReadFile"/>, from text; relative paths are relative to <paramref name="directory"/>.
    /// </summary>
    public static GuestConfig Read(string text, string file, string directory, IEnumerable<string> overrides,
        out IReadOnlyList<string> warnings)
    {
        GuestConfigReader reader = new(file, directory);
        foreach (XlAssignment assignment in XlConfigParser.Parse(text, file))
        {
            reader.Take(assignment);
        }
        foreach (string word in overrides)
        {
            foreach (XlAssignment assignment in XlConfigParser.ParseOverride(word))
            {
                reader.Take(assignment);
            }
        }
        warnings = reader._warnings;
        return reader.Build();
    }

    /// <summary>A later assignment to a key replaces an earlier one; += adds to it.</summary>
    private void Take(XlAssignment assignment)
    {
        string key = assignment.Key;
        if (XlKeys.KnownToXl.Contains(key))
        {
            if (!_set.ContainsKey(key))
            {
                _warnings.Add($"{assignment.Place}: {key}: known to xl but not served yet; ignored");
            }
        }
        else if (!XlKeys.Served.Contains(key))
        {
            string hint = XlKeys.Nearest(key) is { } near ? $" (did you mean '{near}'?)" : "";
            throw new GuestConfigException(
                $"{assignment.Place}: {XlConfigParser.Shown(key)}: unknown key{hint}");
        }
        if (assignment.Append && _set.TryGetValue(key, out XlAssignment? before)
            && before.Value.Text is { } head && assignment.Value.Text is { } tail)
        {
            assignment = assignment with { Value = new XlValue(head + tail) };
        }
        else if (assignment.Append && _set.TryGetValue(key, out before)
            && before.Value.Elements is { } elements && assignment.Value.Elements is { } more)
        {
            assignment = assignment with { Value = new XlValue((IReadOnlyList<XlValue>)[.. elements, .. more]) };
        }
        _set[key] = assignment;
    }

    private GuestConfig Build()
    {
        string name = Name();
        if (Text("type") is { } type && type != "pv")
        {
            throw Bad("type", type is "pvh" or "hvm" ? $"'{type}' guests are not served yet; only 'pv' is"
                : $"'{XlConfigParser.Shown(type)}' is not a type of guest; only 'pv' is served");
        }
        int memory = Number("memory", 1, MaxMemoryMiB) ?? Number("maxmem", 1, MaxMemoryMiB)
            ?? DefaultMemoryMiB;
        int maxMemory = Number("maxmem", 1, MaxMemoryMiB) ?? memory;
        if (maxMemory < memory)
        {
            throw Bad("maxmem", $"{maxMemory} is less than memory ({memory})");
        }
        int vcpus = Number("vcpus", 1, MaxVcpus) ?? Number("maxvcpus", 1, MaxVcpus) ?? 1;
        int maxVcpus = Number("maxvcpus", 1, MaxVcpus) ?? vcpus;
        if (maxVcpus < vcpus)
        {
            throw Bad("maxvcpus", $"{maxVcpus} is less than vcpus ({vcpus})");
        }
        BootloaderConfig? bootloader = Bootloader();
        return new GuestConfig
        {
            Name = name,
            Uuid = Uuid(),
            Kernel = Existing("kernel") ?? (bootloader != null ? null : throw NoKernel()),
            Bootloader = bootloader,
            Ramdisk = Existing("ramdisk"),
            CloudInit = Existing("cloudinit"),
            CommandLine = CommandLine(),
            MemoryMiB = memory,
            MaxMemoryMiB = maxMemory,
            Vcpus = vcpus,
            MaxVcpus = maxVcpus,
            Affinities = Affinities(),
            Scheduling = Shares(maxVcpus),
            Disks = Disks(),
            Vifs = Vifs(),
            Screen = Screen(),
            OnPoweroff = Action("on_poweroff", ShutdownAction.Destroy),
            OnReboot = Action("on_reboot", ShutdownAction.Restart),
            OnCrash = Action("on_crash", ShutdownAction.Destroy),
        };
    }

    /// <summary>cpus: a text for all vCPUs, or a list with one for each.</summary>
    private List<VcpuAffinity> Affinities()
    {
        if (!_set.TryGetValue("cpus", out XlAssignment? assignment))
        {
            return [];
        }
        bool each = assignment.Value.Elements != null;
        try
        {
            return [.. Texts("cpus").Select(
                (text, i) => new VcpuAffinity(each ? i : null, CpuRange.Parse(text)))];
        }
        catch (FormatException e)
        {
            throw Bad("cpus", e.Message);
        }
    }

    /// <summary>cpu_weight and cap.</summary>
    private Scheduling? Shares(int maxVcpus)
    {
        int? weight = Number("cpu_weight", 1, Scheduling.MaxWeight), cap = Number("cap", 0, maxVcpus * 100);
        return weight == null && cap == null ? null
            : new Scheduling(weight ?? Scheduling.DefaultWeight, cap ?? 0);
    }

    private string Name()
    {
        string name = Text("name")
            ?? throw new GuestConfigException($"{_file}: name: not set; every guest needs one");
        return NameError(name) is { } error ? throw Bad("name", error) : name;
    }

    /// <summary>Why a text cannot be a guest's name, or null. Names become parts of file names.</summary>
    public static string? NameError(string name)
    {
        if (name.Length is 0 or > MaxNameLength)
        {
            return $"a name has 1 to {MaxNameLength} characters";
        }
        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.' or '+' or ':'))
            {
                return $"'{XlConfigParser.Shown(name)}' contains '{XlConfigParser.Shown(c.ToString())}';"
                    + " letters, digits and - _ . + : make a name";
            }
        }
        if (name[0] is '.' or '-')
        {
            return $"'{name}' starts with '{name[0]}'";
        }
        return int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _)
            ? $"'{name}' is a number and would be taken for a domain id" : null;
    }

    private Guid Uuid()
    {
        if (Text("uuid") is not { } text)
        {
            return Guid.NewGuid();
        }
        return Guid.TryParseExact(text, "D", out Guid uuid) || Guid.TryParseExact(text, "N", out uuid) ? uuid
            : throw Bad("uuid", $"'{XlConfigParser.Shown(text)}' is not a UUID");
    }

    /// <summary>cmdline, or root and extra, as xl puts them together.</summary>
    private string CommandLine()
    {
        string? root = Text("root"), extra = Text("extra");
        if (Text("cmdline") is { } commandLine)
        {
            if (root != null || extra != null)
            {
                _warnings.Add($"{_set["cmdline"].Place}: cmdline: given, so root and extra are ignored");
            }
            return commandLine;
        }
        return (root, extra) switch
        {
            (null, _) => extra ?? "",
            (_, null) => $"root={root}",
            _ => $"root={root} {extra}",
        };
    }

    private string? Existing(string key)
    {
        if (Text(key) is not { } path)
        {
            return null;
        }
        if (path.Length == 0 || path.Contains('\0', StringComparison.Ordinal))
        {
            throw Bad(key, "an empty path");
        }
        string full = Path.GetFullPath(path, _directory);
        return File.Exists(full) ? full
            : throw Bad(
                key, $"{full}: {(Directory.Exists(full) ? "a directory, not a file" : "no such file")}");
    }

    /// <summary>The list "disk"; each device once, each image there.</summary>
    private List<DiskConfig> Disks()
    {
        List<DiskConfig> disks = [];
        Dictionary<int, string> taken = [];
        foreach (string text in Texts("disk"))
        {
            DiskConfig disk;
            try
            {
                disk = DiskSpecification.Parse(text, _directory);
            }
            catch (FormatException e)
            {
                throw Bad("disk", $"'{XlConfigParser.Shown(text)}': {e.Message}");
            }
            if (VirtualDevice.TryParse(disk.VirtualDevice, out int number)
                && !taken.TryAdd(number, disk.VirtualDevice))
            {
                throw Bad("disk", $"'{XlConfigParser.Shown(text)}': vdev: {disk.VirtualDevice} is taken already"
                    + (taken[number] == disk.VirtualDevice ? "" : $" (as {taken[number]})"));
            }
            if (disk.Path != null && !File.Exists(disk.Path))
            {
                throw Bad("disk",
                    $"{disk.Path}: {(Directory.Exists(disk.Path) ? "a directory, not a disk" : "no such file")}");
            }
            disks.Add(disk);
        }
        return disks;
    }

    /// <summary>The list "vif"; each interface has a number and an address of its own.</summary>
    private List<VifConfig> Vifs()
    {
        List<VifConfig> vifs = [];
        List<string> warnings = [];
        foreach (string text in Texts("vif"))
        {
            try
            {
                VifConfig vif = VifSpecification.Parse(text, warnings);
                if (vifs.Any(v => vif.Mac != null && v.Mac == vif.Mac))
                {
                    throw new FormatException($"mac: {vif.Mac} is that of another interface");
                }
                if (vifs.Any(v => vif.DeviceId != null && v.DeviceId == vif.DeviceId))
                {
                    throw new FormatException($"devid: {vif.DeviceId} is that of another interface");
                }
                vifs.Add(vif);
            }
            catch (FormatException e)
            {
                throw Bad("vif", $"'{XlConfigParser.Shown(text)}': {e.Message}");
            }
        }
        _warnings.AddRange(warnings.Select(w => $"{_set["vif"].Place}: vif: {w}"));
        return vifs;
    }

    /// <summary>The elements of a list of texts; none when it is not set.</summary>
    private IEnumerable<string> Texts(string key)
    {
        if (!_set.TryGetValue(key, out XlAssignment? assignment))
        {
            return [];
        }
        IReadOnlyList<XlValue> elements = assignment.Value.Elements ?? [assignment.Value];
        return elements.Select(e => e.Text ?? throw Bad(key, "a list where a text was expected"));
    }

    private ShutdownAction Action(string key, ShutdownAction absent) => Text(key) switch
    {
        null => absent,
        "destroy" => ShutdownAction.Destroy,
        "restart" => ShutdownAction.Restart,
        "preserve" => ShutdownAction.Preserve,
        "rename-restart" => ShutdownAction.RenameRestart,
        "coredump-destroy" or "coredump-restart" or "soft-reset" =>
            throw Bad(key, $"'{Text(key)}' is known to xl but not served yet"),
        var other => throw Bad(key,
            $"'{XlConfigParser.Shown(other)}' is not one of destroy, restart, preserve, rename-restart"),
    };

    private string? Text(string key) => !_set.TryGetValue(key, out XlAssignment? assignment) ? null
        : assignment.Value.Text ?? throw Bad(key, "a list where one value was expected");

    /// <summary>A number in decimal, octal (0...) or hexadecimal (0x...) notation.</summary>
    private int? Number(string key, int min, int max)
    {
        if (Text(key) is not { } text)
        {
            return null;
        }
        if (!TryParseNumber(text, out long value))
        {
            throw Bad(key, $"'{XlConfigParser.Shown(text)}' is not a number");
        }
        return value >= min && value <= max ? (int)value
            : throw Bad(key, $"{value} is not from {min} to {max}");
    }

    private static bool TryParseNumber(string text, out long value)
    {
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            return long.TryParse(
                text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
        }
        if (text.Length > 1 && text[0] == '0')
        {
            value = 0;
            foreach (char c in text)
            {
                if (c is < '0' or > '7' || value > long.MaxValue >> 3)
                {
                    return false;
                }
                value = value * 8 + (c - '0');
            }
            return true;
        }
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value);
    }

    private GuestConfigException Bad(string key, string reason) => new($"{_set[key].Place}: {key}: {reason}");
}
