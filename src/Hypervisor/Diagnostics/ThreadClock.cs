using System;
using System.Globalization;
using System.IO;

namespace Ryokan.Hypervisor.Diagnostics;

/// <summary>Host CPU time of one thread, readable from any other (proc(5), /proc/PID/task/TID).</summary>
internal sealed class ThreadClock
{
    private const double NanosecondsPerTick = 100;

    private string? _directory;
    private TimeSpan _last;

    /// <summary>Call on the thread to be measured.</summary>
    public void Attach()
    {
        string? link = new FileInfo("/proc/thread-self").LinkTarget;
        _directory = link == null ? null : "/proc/" + link;
    }

    /// <summary>Call on the same thread before it ends: the last value stays readable.</summary>
    public void Detach()
    {
        _last = Elapsed;
        _directory = null;
    }

    public TimeSpan Elapsed
    {
        get
        {
            string? directory = _directory;
            return directory != null && TryRead(directory, out TimeSpan time) ? time : _last;
        }
    }

    private static bool TryRead(string directory, out TimeSpan time)
    {
        time = default;
        try
        {
            // schedstat: "ns-on-cpu ns-waiting slices"; absent without CONFIG_SCHED_INFO.
            string text = File.ReadAllText(directory + "/schedstat");
            if (long.TryParse(text.AsSpan(0, text.IndexOf(' ')), CultureInfo.InvariantCulture, out long nanoseconds))
            {
                time = TimeSpan.FromTicks((long)(nanoseconds / NanosecondsPerTick));
                return true;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // The thread ended between the look-up and the read, or the file does not exist on this host.
        }
        return false;
    }
}
