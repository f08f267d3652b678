using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Guests.Tests;

/// <summary>One line of a guest's console and the host's time at its arrival, in seconds.</summary>
internal readonly record struct ConsoleLine(string Text, double HostUnixSeconds, double HostMonotonicSeconds);

/// <summary>
/// A whole guest from power-on to power-off, run by <c>eng/guest.sh</c> (which asks <c>./xm create -c</c>), and what
/// it printed. The guests are made by <c>tests/Guests/images.sh</c>; <c>./test</c> sees to both.
/// </summary>
internal sealed class GuestRun
{
    private const int TailLines = 60;

    private GuestRun(int status, IReadOnlyList<ConsoleLine> console)
    {
        Status = status;
        Console = console;
    }

    /// <summary>Exit status of the command: 0 after a clean power-off.</summary>
    public int Status { get; }

    /// <summary>Everything that came on the console.</summary>
    public IReadOnlyList<ConsoleLine> Console { get; }

    /// <summary>Runs a job of <c>tests/Guests/jobs/FLAVOUR</c>.</summary>
    /// <param name="words">More words for the kernel command line; "a=b" reaches the job as a variable.</param>
    public static async Task<GuestRun> Job(
        string flavour, string job, int vcpus = 1, int memory = 256, int limitSeconds = 300, params string[] words)
    {
        string ramdisk = Path.Combine(Cache, "guests", flavour + ".cpio");
        Assert.True(File.Exists(ramdisk), $"{ramdisk} is missing: ./test makes it (tests/Guests/images.sh)");
        GuestRun run = await Start(
            ramdisk, vcpus, memory, limitSeconds,
            ["quiet", "mode=job", "job=" + job, "wanted_hypervisor=" + Hypervisor, .. words]);
        run.MustHavePassed(job);
        return run;
    }

    /// <summary>Boots the small guest of <c>eng/setup.sh</c> and powers it off at once.</summary>
    public static async Task<GuestRun> BootAndPowerOff(int vcpus)
    {
        GuestRun run = await Start(Path.Combine(Cache, "initramfs.gz"), vcpus, 256, 60, ["mode=off"]);
        Assert.True(run.Status == 0, $"exit status {run.Status}\n{run.Tail()}");
        Assert.Contains(run.Console, l => l.Text.Contains("user space is up", StringComparison.Ordinal));
        return run;
    }

    // A clean end, at least one PASS, no FAIL, the job's own last word, and a kernel that has nothing to complain of.
    private void MustHavePassed(string job)
    {
        string[] lines = [.. Console.Select(l => l.Text)];
        string[] bad = [.. lines.Where(l => l.StartsWith("FAIL", StringComparison.Ordinal)
            || l.StartsWith("kernel trouble:", StringComparison.Ordinal))];
        Assert.True(bad.Length == 0, $"{string.Join('\n', bad)}\n...\n{Tail()}");
        Assert.True(Status == 0, $"exit status {Status}\n{Tail()}");
        Assert.True(lines.Contains($"job {job} ended with status 0"), $"the job did not end well\n{Tail()}");
        Assert.True(lines.Any(l => l.StartsWith("PASS ", StringComparison.Ordinal)), $"nothing was checked\n{Tail()}");
    }

    private string Tail() => string.Join('\n', Console.TakeLast(TailLines).Select(l => l.Text));

    // QEMU shows whether a failure is the guest program's or ours.
    private static string Hypervisor =>
        Environment.GetEnvironmentVariable("RYOKAN_GUEST_SYSTEM") is "qemu" ? "none" : "xen";

    private static string Cache => Environment.GetEnvironmentVariable("RYOKAN_CACHE")
        ?? throw new InvalidOperationException("RYOKAN_CACHE is not set: run these tests through ./test");

    private static async Task<GuestRun> Start(
        string ramdisk, int vcpus, int memory, int limitSeconds, IEnumerable<string> words)
    {
        ProcessStartInfo start = new(Path.Combine(RepositoryRoot(), "eng/guest.sh"))
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            ArgumentList =
            {
                "--ramdisk", ramdisk,
                "--vcpus", vcpus.ToString(CultureInfo.InvariantCulture),
                "--memory", memory.ToString(CultureInfo.InvariantCulture),
                "--limit", limitSeconds.ToString(CultureInfo.InvariantCulture),
            },
        };
        foreach (string word in words)
        {
            start.ArgumentList.Add(word);
        }

        using Process process = Process.Start(start)!;
        List<ConsoleLine> lines = [];
        await Task.WhenAll(Read(process.StandardOutput, lines), Read(process.StandardError, lines));
        await process.WaitForExitAsync();
        return new GuestRun(process.ExitCode, lines);
    }

    private static async Task Read(StreamReader reader, List<ConsoleLine> lines)
    {
        while (await reader.ReadLineAsync() is { } text)
        {
            double unix = (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds;
            double monotonic = Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
            lock (lines)
            {
                lines.Add(new ConsoleLine(text.TrimEnd('\r'), unix, monotonic));
            }
        }
    }

    public static string RepositoryRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "Ryokan.slnx")))
            {
                return at.FullName;
            }
        }

        throw new InvalidOperationException($"no Ryokan.slnx above {AppContext.BaseDirectory}");
    }
}
