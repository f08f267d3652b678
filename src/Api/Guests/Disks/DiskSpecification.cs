using System;
using System.Collections.Generic;
using System.IO;

namespace Ryokan.Api.Guests.Disks;

/// <summary>
/// Reads one disk specification (xl-disk-configuration(5)): positional parameters TARGET, FORMAT, VDEV, ACCESS, then
/// flags and key=value; "target=" takes all that follows; the legacy prefixes file:, phy:, tap:aio: and their like.
/// </summary>
public sealed class DiskSpecification
{
    private const int MaxLength = 4096;

    private static readonly string[] s_positions = ["target", "format", "vdev", "access"];

    /// <summary>Without FORMAT after it: FORMAT is what the prefix says.</summary>
    private static readonly string[] s_prefixes =
        ["file:", "phy:", "tap2:", "tap:", "tapdisk:", "aio:", "ioemu:", "raw:", "qcow2:", "qcow:", "vhd:", "qed:"];

    private readonly string _directory;
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private bool _legacy, _physical, _cdRom, _noDiscard;

    private DiskSpecification(string directory) => _directory = directory;

    /// <summary>Parses one specification.</summary>
    /// <param name="text">as in xl.cfg, or the words of xm block-attach joined with commas</param>
    /// <param name="directory">what relative paths start from</param>
    /// <exception cref="FormatException">one line: parameter and reason</exception>
    public static DiskConfig Parse(string text, string directory)
    {
        if (text.Length > MaxLength)
        {
            throw new FormatException($"longer than {MaxLength} characters");
        }
        DiskSpecification specification = new(directory);
        specification.Take(text);
        return specification.Build();
    }

    private void Take(string text)
    {
        int position = 0;
        bool named = false;
        for (int at = 0; at <= text.Length;)
        {
            int comma = text.IndexOf(',', at);
            int end = comma < 0 ? text.Length : comma;
            string word = text[at..end].Trim();
            if (word.StartsWith("target=", StringComparison.Ordinal))
            {
                // The rest of the text, commas and all.
                Set("target", text[(text.IndexOf('=', at) + 1)..].Trim());
                return;
            }
            if (TakeNamed(word))
            {
                named = true;
            }
            else if (word.Length > 0 || !named)
            {
                TakePositional(word, ref position);
            }
            at = end + 1;
        }
    }

    /// <summary>A flag or key=value. A target may contain '=', but only as a path.</summary>
    private bool TakeNamed(string word)
    {
        int equals = word.IndexOf('=', StringComparison.Ordinal);
        string key = equals < 0 ? word : word[..equals].Trim();
        string value = equals < 0 ? "" : word[(equals + 1)..].Trim();
        switch (key)
        {
            case "format" or "vdev" or "access" or "devtype" or "backendtype" or "backend" or "script"
                or "specification" or "transport" or "removable" when equals >= 0:
                Set(key, value);
                return true;
            case "cdrom" when equals < 0:
                _cdRom = true;
                return true;
            case "discard" or "no-discard" when equals < 0:
                _noDiscard = key == "no-discard";
                return true;
            case "direct-io-safe" or "trusted" or "untrusted" when equals < 0:
                // Nothing here depends on them.
                return true;
            default:
                return equals > 0 && !word.Contains('/', StringComparison.Ordinal)
                    ? throw new FormatException($"{Shown(key)}: unknown parameter") : false;
        }
    }

    private void TakePositional(string word, ref int position)
    {
        if (position == 0)
        {
            word = StripPrefixes(word);
        }
        // The legacy form has no FORMAT.
        else if (position == 1 && _legacy)
        {
            position++;
        }
        if (position >= s_positions.Length)
        {
            throw new FormatException(
                $"'{Shown(word)}' is one positional parameter too many: TARGET, FORMAT, VDEV, ACCESS");
        }
        string key = s_positions[position++];
        if (key == "vdev" && word.EndsWith(":cdrom", StringComparison.Ordinal))
        {
            _cdRom = true;
            word = word[..^":cdrom".Length];
        }
        else if (key == "vdev" && word.EndsWith(":disk", StringComparison.Ordinal))
        {
            word = word[..^":disk".Length];
        }
        if (word.Length > 0)
        {
            Set(key, word);
        }
    }

    private string StripPrefixes(string target)
    {
        for (bool found = true; found;)
        {
            found = false;
            foreach (string prefix in s_prefixes)
            {
                if (target.StartsWith(prefix, StringComparison.Ordinal))
                {
                    _legacy = found = true;
                    _physical |= prefix == "phy:";
                    target = target[prefix.Length..];
                    if (prefix is "raw:" or "qcow2:" or "qcow:" or "vhd:" or "qed:")
                    {
                        Set("format", prefix[..^1]);
                    }
                    break;
                }
            }
        }
        return target;
    }

    private void Set(string key, string value)
    {
        if (!_values.TryAdd(key, value))
        {
            throw new FormatException($"{key}: given twice ('{Shown(_values[key])}' and '{Shown(value)}')");
        }
    }

    private DiskConfig Build()
    {
        RefuseUnserved();
        string vdev = _values.GetValueOrDefault("vdev")
            ?? throw new FormatException("vdev: missing; what the guest is to see the disk as, such as xvda");
        if (!VirtualDevice.TryParse(vdev, out _))
        {
            throw new FormatException($"vdev: '{Shown(vdev)}' is no virtual device; {VirtualDevice.Forms}");
        }
        bool cdRom = IsCdRom();
        return new DiskConfig
        {
            Path = Target(cdRom),
            Format = Format(),
            VirtualDevice = vdev,
            IsCdRom = cdRom,
            ReadOnly = Access(cdRom),
            Discard = !_noDiscard,
        };
    }

    private bool IsCdRom() => _values.GetValueOrDefault("devtype") switch
    {
        null => _cdRom,
        "cdrom" => true,
        "disk" when !_cdRom => false,
        "disk" => throw new FormatException("devtype: 'disk' contradicts 'cdrom'"),
        var other => throw new FormatException($"devtype: '{Shown(other)}' is not one of disk, cdrom"),
    };

    private bool Access(bool cdRom) => _values.GetValueOrDefault("access") switch
    {
        null => cdRom,
        "r" or "ro" => true,
        "w" or "rw" when !cdRom => false,
        "w" or "rw" => throw new FormatException("access: a CD drive is read-only"),
        var other => throw new FormatException($"access: '{Shown(other)}' is not one of r, ro, w, rw"),
    };

    private DiskImageFormat Format() => _values.GetValueOrDefault("format") switch
    {
        null or "" or "raw" or "empty" => DiskImageFormat.Raw,
        "qcow2" => DiskImageFormat.Qcow2,
        "qcow" or "vhd" or "qed" => throw new FormatException(
            $"format: '{_values["format"]}' is known to xl but not served; raw and qcow2 are"
            + " ('qemu-img convert' makes one from the other)"),
        var other => throw new FormatException($"format: '{Shown(other)}' is not one of raw, qcow2"),
    };

    private void RefuseUnserved()
    {
        if (_values.GetValueOrDefault("backendtype") is { } type and not ("phy" or "tap" or "qdisk" or "standalone"))
        {
            throw new FormatException($"backendtype: '{Shown(type)}' is not one of phy, tap, qdisk");
        }
        if (_values.GetValueOrDefault("backend") is { } backend and not ("0" or "Domain-0"))
        {
            throw new FormatException($"backend: '{Shown(backend)}': only domain 0 serves disks here");
        }
        if (_values.GetValueOrDefault("specification") is { } specification and not "xen")
        {
            throw new FormatException($"specification: '{Shown(specification)}' is not served; only xen is");
        }
        foreach (string key in (ReadOnlySpan<string>)["script", "transport"])
        {
            if (_values.ContainsKey(key))
            {
                throw new FormatException($"{key}: known to xl but not served");
            }
        }
    }

    private string? Target(bool cdRom)
    {
        string? target = _values.GetValueOrDefault("target");
        if (string.IsNullOrEmpty(target) || _values.GetValueOrDefault("format") == "empty")
        {
            return cdRom ? null : throw new FormatException("target: missing; the path of a file or block device");
        }
        if (target.Contains('\0', StringComparison.Ordinal))
        {
            throw new FormatException("target: contains a NUL character");
        }
        // As with xl, what is no path from the root may be the name of a device.
        string file = Path.GetFullPath(target, _directory), device = Path.GetFullPath(target, "/dev");
        return _physical || (!File.Exists(file) && File.Exists(device)) ? device : file;
    }

    private static string Shown(string text) => XlConfigParser.Shown(text);
}
