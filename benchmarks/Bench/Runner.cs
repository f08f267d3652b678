using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using Ryokan.Bench.Devices;

namespace Ryokan.Bench;

/// <summary>Runs everything in interleaved rounds, so that a change in the machine's mood meets all systems alike.</summary>
internal sealed class Runner(Options options, Layout layout, Samples samples)
{
    private static readonly TimeSpan _groupLimit = TimeSpan.FromMinutes(15);
    private static readonly TimeSpan _bootLimit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan _idleSpan = TimeSpan.FromSeconds(10);
    private const int ListCommands = 5;
    private const string FirstUserLine = "ryokan guest: user space is up";

    private readonly RyokanSystem? _ryokan =
        options.WithRyokan ? new RyokanSystem(layout.Kernel, layout.Xm, layout.Work, layout.Translations) : null;
    private readonly RyokanSystem? _first = options.WithRyokan
        ? new RyokanSystem(layout.Kernel, layout.Xm, layout.Work, layout.Translations, isFirst: true) : null;
    private readonly QemuSystem? _qemu = options.WithQemu ? new QemuSystem(layout.Kernel) : null;

    private IEnumerable<GuestSystem> Guests => new GuestSystem?[] { _first, _ryokan, _qemu }.OfType<GuestSystem>();

    public void Run()
    {
        using DeviceRunner devices = new(options, layout, samples, [.. Guests], Note);
        for (int round = 1; round <= options.Rounds; round++)
        {
            Note($"round {round} of {options.Rounds}");
            foreach (Group group in Group.All.Where(g => options.Wants(g.Name)))
            {
                RunNative(group);
                foreach (GuestSystem system in Guests.Where(s => s != _first || group.Name != "scale"))
                {
                    RunGuest(group, system);
                }
            }

            if (options.Wants("boot"))
            {
                MeasureBoots();
            }

            devices.Run();
        }

        if (options.Wants("idle") && _ryokan is not null)
        {
            MeasureIdleGuest();
        }
    }

    private static void Note(string text) => Console.Error.WriteLine(text);

    private void RunNative(Group group)
    {
        Note($"  {group.Name}: native");
        using ConsoleProcess process = group.StartNative(layout.Images, layout.Busybox, layout.Work);
        int? status = process.WaitForExit(_groupLimit);
        Record(group, "native", process, status == 0);
    }

    private void RunGuest(Group group, GuestSystem system)
    {
        Note($"  {group.Name}: {system.Name}");
        using ConsoleProcess process = system.Start(group.Guest(layout.Images));
        using CancellationTokenSource end = new();
        Thread? sampler = system == _ryokan ? StartSampler(group, _ryokan.LastGuestName, end.Token) : null;
        int? status = process.WaitForExit(_groupLimit);
        end.Cancel();
        sampler?.Join();
        if (status is null && system is RyokanSystem ryokan)
        {
            ryokan.Destroy();
        }

        bool good = status == 0 && process.Lines.Any(
            l => l.Text.Contains($"job {group.Name} ended with status 0", StringComparison.Ordinal));
        Record(group, system.Name, process, good);
    }

    private void Record(Group group, string system, ConsoleProcess process, bool good)
    {
        TimedLine[] lines = process.Lines;
        foreach (TimedLine line in lines)
        {
            if (Row.Parse(line.Text) is { } row)
            {
                samples.Add(group.Name, system, row);
            }
            else if (line.Text.StartsWith("FAIL ", StringComparison.Ordinal))
            {
                samples.Problems.Add($"{group.Name} on {system}: {line.Text}");
            }
        }

        if (!good)
        {
            string log = Path.Combine(layout.Output, $"failed-{group.Name}-{system}.log");
            File.WriteAllLines(log, lines.Select(l => l.Text));
            samples.Problems.Add($"{group.Name} on {system} did not end well; its output is in {log}");
        }
    }

    /// <summary>Keeps the largest size of the domain process while a group runs.</summary>
    private Thread StartSampler(Group group, string guestName, CancellationToken end)
    {
        Thread thread = new(() =>
        {
            long largest = 0;
            DomainProcess? domain = null;
            while (!end.WaitHandle.WaitOne(TimeSpan.FromSeconds(2)))
            {
                domain ??= DomainProcess.Find(layout.Xm, guestName);
                largest = Math.Max(largest, domain?.ResidentBeyondGuestRam() ?? 0);
            }

            if (largest > 0)
            {
                samples.AddValue("idle", "Ryokan", "resident-" + group.Name, largest);
            }
        });
        thread.Start();
        return thread;
    }

    private void MeasureBoots()
    {
        foreach (GuestSystem system in Guests)
        {
            MeasureBoot(system, "boot", "mode=off");
            MeasureBoot(system, "boot-quiet", "quiet mode=off");
        }
    }

    private void MeasureBoot(GuestSystem system, string row, string commandLine)
    {
        Note($"  {row}: {system.Name}");
        using ConsoleProcess process = system.Start(new GuestRequest(layout.Initramfs, 256, 1, commandLine));
        TimeSpan? up = process.WaitForLine(FirstUserLine, _bootLimit);
        int? status = process.WaitForExit(_bootLimit);
        if (up is { } time && status == 0)
        {
            samples.AddValue("boot", system.Name, row, time.TotalSeconds);
            return;
        }

        samples.Problems.Add($"{row}: {system.Name} did not boot to user space and power off (status {status})");
        (system as RyokanSystem)?.Destroy();
    }

    /// <summary>A guest that does nothing: its CPU time, its size, and how long the commands take beside it.</summary>
    private void MeasureIdleGuest()
    {
        Note("  idle guest: Ryokan");
        using ConsoleProcess guest = _ryokan!.Start(new GuestRequest(layout.Initramfs, 256, 1, "quiet mode=stay"));
        string name = _ryokan.LastGuestName;
        if (guest.WaitForLine(FirstUserLine, _bootLimit) is null || DomainProcess.Find(layout.Xm, name) is not { } domain)
        {
            samples.Problems.Add("idle: the guest did not come up, or its process was not found");
            _ryokan.Destroy();
            return;
        }

        Thread.Sleep(TimeSpan.FromSeconds(5));
        double? before = domain.CpuSeconds();
        long start = Stopwatch.GetTimestamp();
        Thread.Sleep(_idleSpan);
        if (domain.CpuSeconds() - before is { } used)
        {
            samples.AddValue("idle", "Ryokan", "cpu", used / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        if (domain.ResidentBeyondGuestRam() is { } resident)
        {
            samples.AddValue("idle", "Ryokan", "resident", resident);
        }

        for (int i = 0; i < ListCommands; i++)
        {
            MeasureList(name);
        }

        _ryokan.Destroy();
    }

    private void MeasureList(string guestName)
    {
        long start = Stopwatch.GetTimestamp();
        using ConsoleProcess list = new(layout.Xm, ["list"]);
        int? status = list.WaitForExit(_bootLimit);
        TimeSpan taken = Stopwatch.GetElapsedTime(start);
        if (status == 0 && list.Lines.Any(l => l.Text.StartsWith(guestName, StringComparison.Ordinal)))
        {
            samples.AddValue("idle", "Ryokan", "xm-list", taken.TotalSeconds);
        }
        else
        {
            samples.Problems.Add($"xm list failed or did not show {guestName}");
        }
    }
}
