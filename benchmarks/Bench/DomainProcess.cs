using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Ryokan.Bench;

/// <summary>What the host's /proc says about the process of one running guest.</summary>
internal sealed class DomainProcess(int id)
{
    // The name that GuestMemory gives the guest's RAM; everything else in the process is our own cost.
    private const string GuestRamMapping = "memfd:ryokan-guest";
    private const double ClockTicksPerSecond = 100;

    /// <summary>Process id.</summary>
    public int Id => id;

    /// <summary>The process that maps guest RAM and was started for this guest; null when there is none (yet).</summary>
    public static DomainProcess? Find(string guestName)
    {
        List<int> candidates = [];
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), NumberStyles.None, null, out int process)
                && Read($"/proc/{process}/maps").Contains(GuestRamMapping, StringComparison.Ordinal))
            {
                candidates.Add(process);
            }
        }

        int[] named = [.. candidates.Where(p => IsAbout(p, guestName))];
        return named.Length == 1 ? new DomainProcess(named[0]) : null;
    }

    /// <summary>Bytes resident in the process that are not guest RAM; null when the process is gone.</summary>
    public long? ResidentBeyondGuestRam()
    {
        long kibibytes = 0;
        bool guestRam = false, any = false;
        foreach (string line in Read($"/proc/{id}/smaps").Split('\n'))
        {
            if (line.Length > 0 && (char.IsAsciiDigit(line[0]) || char.IsAsciiLetterLower(line[0])))
            {
                guestRam = line.Contains(GuestRamMapping, StringComparison.Ordinal);
                any = true;
            }
            else if (!guestRam && line.StartsWith("Rss:", StringComparison.Ordinal))
            {
                kibibytes += long.Parse(line.AsSpan(4).Trim(" kB"), CultureInfo.InvariantCulture);
            }
        }

        return any ? kibibytes * 1024 : null;
    }

    /// <summary>User and system time of all its threads so far; null when the process is gone.</summary>
    public double? CpuSeconds()
    {
        string stat = Read($"/proc/{id}/stat");
        int end = stat.LastIndexOf(')');
        if (end < 0)
        {
            return null;
        }

        // proc(5): utime and stime are fields 14 and 15; the split starts at field 3.
        string[] fields = stat[(end + 2)..].Split(' ');
        return (double.Parse(fields[11], CultureInfo.InvariantCulture)
            + double.Parse(fields[12], CultureInfo.InvariantCulture)) / ClockTicksPerSecond;
    }

    private static bool IsAbout(int process, string guestName) =>
        Read($"/proc/{process}/cmdline").Contains(guestName, StringComparison.Ordinal)
        || Read($"/proc/{process}/environ").Contains(guestName, StringComparison.Ordinal);

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
