using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Ryokan.Bench.Devices;

/// <summary>Runs the device rows, one round at a time; the caller interleaves them with everything else.</summary>
internal sealed class DeviceRunner : IDisposable
{
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(8);
    private static readonly TimeSpan _bootLimit = TimeSpan.FromMinutes(3);
    private const int DiskBytes = 1 << 30;

    private readonly Options _options;
    private readonly Layout _layout;
    private readonly Samples _samples;
    private readonly IReadOnlyList<GuestSystem> _guests;
    private readonly Action<string> _note;
    private readonly HashSet<string> _skipped = [];
    private NetworkSpace? _network;

    /// <param name="guests">QEMU and Ryokan, those that are wanted</param>
    /// <param name="note">progress</param>
    public DeviceRunner(
        Options options, Layout layout, Samples samples, IReadOnlyList<GuestSystem> guests, Action<string> note) =>
        (_options, _layout, _samples, _guests, _note) = (options, layout, samples, guests, note);

    public void Run()
    {
        foreach (DeviceGroup group in DeviceGroup.All.Where(g => _options.Wants(g.Name)))
        {
            switch (group.Name)
            {
                case DeviceGroup.DiskName:
                    RunDisk(group);
                    break;
                case DeviceGroup.NetworkName:
                    RunNetwork(group);
                    break;
                case DeviceGroup.ServicesName:
                    RunServices(group);
                    break;
                default:
                    RunDebian(group);
                    break;
            }
        }
    }

    /// <summary>Those for rows in which the first start is no different.</summary>
    private IEnumerable<GuestSystem> LaterGuests => _guests.Where(g => g.Name != RyokanSystem.FirstStart);

    private string Image(string name) => Path.Combine(_layout.Images, name);

    /// <summary>Says once that something is not measured, and why.</summary>
    private void Skip(string what, string why)
    {
        if (_skipped.Add(what))
        {
            _note($"  {what}: skipped, {why}");
            _samples.Skipped.Add($"{what}: {why}");
        }
    }

    private void RunDisk(DeviceGroup group)
    {
        string raw = Path.Combine(_layout.DiskWork, "disk.img"), qcow2 = Path.Combine(_layout.DiskWork, "disk.qcow2");
        if (!File.Exists(raw))
        {
            _note("  disk: making the images");
            MakeImages(raw, qcow2);
        }

        string tree = Image(DeviceGroup.DiskName);
        (string System, string Direct)[] natives = [("native", "1"), (DeviceGroup.CachedSystem, "0")];
        foreach ((string system, string direct) in natives)
        {
            Warm(raw);
            _note($"  disk: {system}");
            using ConsoleProcess native = new("sh", [Path.Combine(tree, "bench/fio.sh"), tree, raw, direct]);
            Record(group, system, native, native.WaitForExit(_limit) == 0);
        }

        foreach (GuestSystem system in LaterGuests)
        {
            RunDiskGuest(group, system, ("raw", raw), "");
            RunDiskGuest(group, system, ("qcow2", qcow2), DeviceGroup.Qcow2Prefix);
        }
    }

    private void RunDiskGuest(DeviceGroup group, GuestSystem system, (string Format, string Path) disk, string prefix)
    {
        Warm(disk.Path);
        RunJob(group, system, prefix, r => r with { Disk = disk });
    }

    /// <summary>No holes and nothing that could be compressed; qcow2 with every cluster in its place.</summary>
    private static void MakeImages(string raw, string qcow2)
    {
        byte[] block = new byte[1 << 20];
        Random random = new(1);
        using (FileStream file = File.Create(raw))
        {
            for (int i = 0; i < DiskBytes / block.Length; i++)
            {
                random.NextBytes(block);
                file.Write(block);
            }

            file.Flush(flushToDisk: true);
        }

        using ConsoleProcess convert = new("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, qcow2]);
        if (convert.WaitForExit(_limit) != 0)
        {
            throw new InvalidOperationException("qemu-img convert failed: " + convert.Lines.LastOrDefault().Text);
        }
    }

    /// <summary>Everything written is on the disk and everything that will be read in the page cache.</summary>
    private static void Warm(string path)
    {
        byte[] block = new byte[1 << 20];
        using FileStream file = new(path, FileMode.Open, FileAccess.ReadWrite);
        file.Flush(flushToDisk: true);
        while (file.Read(block) > 0)
        {
            // Read for the page cache.
        }
    }

    private void RunNetwork(DeviceGroup group)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            Skip("network", "needs root: it makes network namespaces, a bridge and a tap device");
            return;
        }

        string tree = Image(DeviceGroup.NetworkName);
        _network ??= new NetworkSpace(tree, _layout.Work);
        _note("  network: native");
        using (ConsoleProcess native = _network.StartPeer(
            "sh", [Path.Combine(tree, "bench/network.sh"), tree, NetworkSpace.HostAddress]))
        {
            Record(group, "native", native, native.WaitForExit(_limit) == 0);
        }

        foreach (GuestSystem system in LaterGuests)
        {
            RunJob(group, system, "", r => r with { Network = _network });
        }
    }

    private void RunServices(DeviceGroup group)
    {
        if (Environment.IsPrivilegedProcess)
        {
            RunServicesNative(group);
        }
        else
        {
            Skip("services, native", "needs root: it changes into the guest's tree");
        }

        foreach (GuestSystem system in _guests)
        {
            RunJob(group, system, "", r => r);
        }
    }

    private void RunServicesNative(DeviceGroup group)
    {
        const string Script = """
            set -eu
            mount -t tmpfs tmpfs "$1/tmp"
            mount -t tmpfs tmpfs "$1/run"
            mount --rbind /dev "$1/dev"
            mount -t proc proc "$1/proc"
            exec chroot "$1" /bin/busybox sh /bench/services.sh
            """;
        _note("  services: native");
        using ConsoleProcess native = new("unshare",
            ["--mount", "--pid", "--fork", "sh", "-c", Script, "sh", Image(DeviceGroup.ServicesName)]);
        Record(group, "native", native, native.WaitForExit(_limit) == 0);
    }

    private void RunDebian(DeviceGroup group)
    {
        string image = Image("debian-12.qcow2"), overlay = Path.Combine(_layout.DiskWork, "debian.qcow2");
        foreach (GuestSystem system in _guests)
        {
            using (ConsoleProcess make = new("qemu-img",
                ["create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", overlay]))
            {
                make.WaitForExit(_limit);
            }

            Warm(image);
            MeasureDebian(group, system, overlay);
            File.Delete(overlay);
        }
    }

    private void MeasureDebian(DeviceGroup group, GuestSystem system, string overlay)
    {
        string device = system is RyokanSystem ? "xvda" : "vda";
        _note($"  {group.Name}: {system.Name}");
        using ConsoleProcess process = system.Start(new GuestRequest(
            Image("debian-12.initrd"), group.MemoryMebibytes, 1, $"quiet root=/dev/{device}1")
        {
            Kernel = Image("debian-12.vmlinuz"),
            Disk = ("qcow2", overlay),
        });
        TimeSpan? login = process.WaitForPrompt("login:", _bootLimit);
        (system as RyokanSystem)?.Destroy();
        if (login is { } time)
        {
            _samples.AddValue(group.Name, system.Name, "login", time.TotalSeconds);
        }
        else
        {
            Fail(group, system.Name, process);
        }
    }

    /// <summary>Runs the group's job in a guest.</summary>
    private void RunJob(
        DeviceGroup group, GuestSystem system, string prefix, Func<GuestRequest, GuestRequest> complete)
    {
        _note($"  {group.Name}: {prefix}{system.Name}");
        GuestRequest request = complete(new GuestRequest(
            Image(group.Name + ".cpio"), group.MemoryMebibytes, 1, "quiet mode=job job=" + group.Name));
        using ConsoleProcess process = system.Start(request);
        int? status = process.WaitForExit(_limit);
        if (status is null)
        {
            (system as RyokanSystem)?.Destroy();
        }

        bool good = status == 0 && process.Lines.Any(
            l => l.Text.Contains($"job {group.Name} ended with status 0", StringComparison.Ordinal));
        Record(group, system.Name, process, good, prefix);
    }

    /// <summary>Keeps the figures that were printed; what a group should have printed and did not is a problem.</summary>
    private void Record(DeviceGroup group, string system, ConsoleProcess process, bool good, string prefix = "")
    {
        Figure[] figures = [.. process.Lines.Select(l => Figure.Parse(l.Text)).OfType<Figure>()];
        foreach (Figure figure in figures)
        {
            _samples.AddValue(group.Name, system, prefix + figure.Name, figure.Value);
        }

        int wanted = group.Rows.Count(r => prefix.Length > 0
            ? r.Name.StartsWith(prefix, StringComparison.Ordinal)
            : !r.Name.StartsWith(DeviceGroup.Qcow2Prefix, StringComparison.Ordinal));
        bool failed = process.Lines.Any(l => l.Text.StartsWith("FAIL ", StringComparison.Ordinal));
        if (!good || failed || figures.Length != wanted)
        {
            Fail(group, system, process);
        }
    }

    private void Fail(DeviceGroup group, string system, ConsoleProcess process)
    {
        string log = Path.Combine(_layout.Output, string.Create(
            CultureInfo.InvariantCulture, $"failed-{group.Name}-{system.Split(',')[0]}.log"));
        File.WriteAllLines(log, process.Lines.Select(l => l.Text));
        _samples.Problems.Add($"{group.Name} on {system} did not end well; its output is in {log}");
    }

    public void Dispose() => _network?.Dispose();
}
