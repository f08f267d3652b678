using System;
using System.Globalization;

namespace Ryokan.Api.Guests.Disks;

/// <summary>
/// Names of virtual disks and the numbers that front ends know them by (xen-vbd-interface(7)).
/// </summary>
public static class VirtualDevice
{
    private const int ExtendedBit = 1 << 28, XvdMajor = 202, SdMajor = 8, Ide0Major = 3, Ide1Major = 22;
    private const int MaxDisk = (1 << 20) - 1, MaxPartition = 255;

    /// <summary>The forms that <see cref="TryParse"/> knows, for messages.</summary>
    public const string Forms = "xvda, hda, sda (with a partition: xvda1), d0p0, or a number";

    /// <summary>The number of a device; false when the name is none or too large.</summary>
    public static bool TryParse(string name, out int number)
    {
        number = 0;
        if (name.Length > 0 && char.IsAsciiDigit(name[0]))
        {
            return TryNumber(name, out number);
        }
        if (TryDiskPartition(name, out int disk, out int partition))
        {
            return TryXvd(disk, partition, out number);
        }
        string kind = name.Length > 3 && name.StartsWith("xvd", StringComparison.Ordinal) ? "xvd"
            : name.Length > 2 && (name.StartsWith("hd", StringComparison.Ordinal)
                || name.StartsWith("sd", StringComparison.Ordinal)) ? name[..2] : "";
        if (kind.Length == 0 || !TryLetters(name[kind.Length..], out disk, out partition))
        {
            return false;
        }
        switch (kind)
        {
            case "xvd":
                return TryXvd(disk, partition, out number);
            case "sd":
                number = SdMajor << 8 | disk << 4 | partition;
                return disk < 16 && partition < 16;
            default:
                number = (disk < 2 ? Ide0Major : Ide1Major) << 8 | (disk & 1) << 6 | partition;
                return disk < 4 && partition < 64;
        }
    }

    private static bool TryXvd(int disk, int partition, out int number)
    {
        number = disk < 16 && partition < 16 ? XvdMajor << 8 | disk << 4 | partition
            : ExtendedBit | disk << 8 | partition;
        return disk <= MaxDisk && partition <= MaxPartition;
    }

    private static bool TryNumber(string text, out int number) =>
        text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? int.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number)
                && number >= 0
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    /// <summary>d&lt;disk&gt; or d&lt;disk&gt;p&lt;partition&gt;.</summary>
    private static bool TryDiskPartition(string name, out int disk, out int partition)
    {
        (disk, partition) = (0, 0);
        if (name is not ['d', >= '0' and <= '9', ..])
        {
            return false;
        }
        string[] parts = name[1..].Split('p');
        return parts.Length <= 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out disk)
            && (parts.Length == 1
                || int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out partition));
    }

    /// <summary>Letters count as a, b, ..., z, aa, ab, ...; digits after them name a partition.</summary>
    private static bool TryLetters(string text, out int disk, out int partition)
    {
        int at = 0;
        (disk, partition) = (0, 0);
        for (; at < text.Length && char.IsAsciiLetterLower(text[at]); at++)
        {
            disk = disk * 26 + (text[at] - 'a') + 1;
            if (disk > MaxDisk + 1)
            {
                return false;
            }
        }
        disk--;
        return disk >= 0 && (at == text.Length || (text[at] != '0'
            && int.TryParse(text.AsSpan(at), NumberStyles.None, CultureInfo.InvariantCulture, out partition)));
    }
}
