using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;

namespace Ryokan.Bench;

/// <summary>A guest to start: which initramfs, how big, and what its kernel command line says.</summary>
internal sealed record GuestRequest(string Ramdisk, int MemoryMebibytes, int Vcpus, string CommandLine)
{
    /// <summary>The kernel, when it is not the one that all guests have.</summary>
    public string? Kernel { get; init; }

    /// <summary>A disk: the image's format ("raw", "qcow2") and its file.</summary>
    public (string Format, string Path)? Disk { get; init; }

    /// <summary>The network that a virtual interface is to be on.</summary>
    public Devices.NetworkSpace? Network { get; init; }
}

/// <summary>Something that boots the guest kernel, with the guest's console on standard output.</summary>
internal abstract class GuestSystem
{
    /// <summary>The name in the tables.</summary>
    public abstract string Name { get; }

    /// <summary>Starts a guest; the process ends when the guest has powered off.</summary>
    public abstract ConsoleProcess Start(GuestRequest request);
}

/// <summary>Debian's QEMU with its translator, as one would start it for a plain guest.</summary>
internal sealed class QemuSystem(string kernel) : GuestSystem
{
    public override string Name => "QEMU";

    public override ConsoleProcess Start(GuestRequest request)
    {
        List<string> arguments =
        [
            "-accel", request.Vcpus > 1 ? "tcg,thread=multi" : "tcg", "-cpu", "max",
            "-m", request.MemoryMebibytes.ToString(CultureInfo.InvariantCulture),
            "-smp", request.Vcpus.ToString(CultureInfo.InvariantCulture),
            "-kernel", request.Kernel ?? kernel, "-initrd", request.Ramdisk,
            "-append", "console=ttyS0 " + request.CommandLine, "-nographic", "-no-reboot",
        ];
        if (request.Disk is { } disk)
        {
            arguments.AddRange(["-drive", $"if=virtio,format={disk.Format},file={disk.Path}"]);
        }

        if (request.Network is not { } network)
        {
            return new ConsoleProcess("qemu-system-x86_64", [.. arguments, "-nic", "none"]);
        }

        arguments.AddRange([
            "-netdev", $"tap,id=n,ifname={network.QemuTap},script=no,downscript=no,vhost=off",
            "-device", "virtio-net-pci,netdev=n",
        ]);
        return network.Start("qemu-system-x86_64", arguments);
    }
}

/// <summary>Ryokan, through the command that people use.</summary>
/// <param name="isFirst">Each guest is the first ever: none of what others' code was translated to is there.</param>
internal sealed class RyokanSystem(
    string kernel, string xm, string workDirectory, string translations, bool isFirst = false) : GuestSystem
{
    public const string FirstStart = "Ryokan, first start";

    private static readonly TimeSpan _translationLimit = TimeSpan.FromMinutes(1);

    private int _count;

    public override string Name => isFirst ? FirstStart : "Ryokan";

    /// <summary>The name of the guest that was started last.</summary>
    public string LastGuestName { get; private set; } = "";

    public override ConsoleProcess Start(GuestRequest request)
    {
        AwaitTranslations();
        if (isFirst)
        {
            File.Delete(Path.Combine(translations, "store"));
        }

        string[] command = ["create", "-c", WriteConfig(request)];
        return request.Network is { } network ? network.Start(xm, command) : new ConsoleProcess(xm, command);
    }

    /// <summary>What guests before had to translate is put away by a process behind them, which is not to disturb.</summary>
    private void AwaitTranslations()
    {
        for (long start = Stopwatch.GetTimestamp(); Directory.EnumerateFiles(translations, "*.journal").Any(); Thread.Sleep(20))
        {
            if (Stopwatch.GetElapsedTime(start) > _translationLimit)
            {
                throw new InvalidOperationException($"{translations}: a journal is not translated");
            }
        }
    }

    /// <summary>Takes the guest away that was started last.</summary>
    public void Destroy()
    {
        using ConsoleProcess destroy = new(xm, ["destroy", LastGuestName]);
        destroy.WaitForExit(TimeSpan.FromMinutes(1));
    }

    /// <summary>Writes the guest's description, with a name that is used once.</summary>
    public string WriteConfig(GuestRequest request)
    {
        LastGuestName = string.Create(
            CultureInfo.InvariantCulture, $"bench-{Environment.ProcessId}{(isFirst ? "-first" : "")}-{++_count}");
        string path = Path.Combine(workDirectory, LastGuestName + ".cfg");
        string devices = request.Disk is { } disk ? $"disk = ['{disk.Path},{disk.Format},xvda,rw']\n" : "";
        devices += request.Network is null ? "" : $"vif = ['bridge={Devices.NetworkSpace.Bridge}']\n";
        File.WriteAllText(path, devices + string.Create(CultureInfo.InvariantCulture, $"""
            name = "{LastGuestName}"
            type = "pv"
            kernel = "{request.Kernel ?? kernel}"
            ramdisk = "{request.Ramdisk}"
            extra = "console=hvc0 {request.CommandLine}"
            memory = {request.MemoryMebibytes}
            vcpus = {request.Vcpus}
            on_poweroff = "destroy"
            on_reboot = "destroy"
            on_crash = "destroy"

            """));
        return path;
    }
}
