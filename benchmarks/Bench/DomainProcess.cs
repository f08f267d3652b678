using System;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Ryokan.Bench;

/// <summary>What the host's /proc says about the process of one running guest.</summary>
internal sealed class DomainProcess(int id)
{
    private const double ClockTicksPerSecond = 100;

    /// <summary>Process id.</summary>
    public int Id => id;

    /// <summary>The process of the named guest; null when there is none (yet).</summary>
    /// <param name="xm">The command, which knows the domain id.</param>
    public static DomainProcess? Find(string xm, string guestName)
    {
        using ConsoleProcess domid = new(xm, ["domid", guestName]);
        if (domid.WaitForExit(TimeSpan.FromSeconds(10)) != 0
            || domid.Lines.Select(l => l.Text.Trim()).FirstOrDefault() is not { Length: > 0 } id)
        {
            return null;
        }

        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            // DomainHost --domain DIRECTORY, and the directory is named for the id.
            if (int.TryParse(Path.GetFileName(directory), NumberStyles.None, null, out int process)
                && Read($"/proc/{process}/cmdline").Split('\0') is [_, "--domain", string home, ..]
                && Path.GetFileName(home) == id)
            {
                return new DomainProcess(process);
            }
        }

        return null;
    }

    /// <summary>Bytes resident in the process that are not guest RAM; null when the process is gone.</summary>
    public long? ResidentBeyondGuestRam()
    {
        try
        {
            return ProcessMemory.Of(id).Rest;
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or UnauthorizedAccessException)
        {
            return null;
        }
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
