using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Api.Guests.Disks;
using Ryokan.Backends;
using Ryokan.Backends.Block;
using Ryokan.Backends.Xenbus;
using Ryokan.Hypervisor;
using Ryokan.Storage;

namespace Ryokan.DomainHost.Devices;

/// <summary>
/// The disks of a guest: opens images, makes their back ends, and pauses the guest while the host has no room
/// for what it writes. Any thread.
/// </summary>
internal sealed class GuestDisks
{
    /// <summary>Most disks of a guest.</summary>
    public const int MaxDisks = 128;

    private const string Type = "vbd";

    /// <summary>What a guest gets to let go of a disk.</summary>
    private static readonly TimeSpan s_detachPatience = TimeSpan.FromSeconds(10);

    private readonly Domain _domain;
    private readonly DeviceBus _bus;
    private readonly Action<string> _log;
    private readonly SpaceGate _space;
    private readonly GuestAccess _access;
    private volatile string? _pauseReason;

    public GuestDisks(Domain domain, DeviceBus bus, Action<string> log)
    {
        (_domain, _bus, _log) = (domain, bus, log);
        _access = GuestAccess.Of(domain);
        _space = new SpaceGate(OutOfSpace);
    }

    /// <summary>Why the guest was paused, one line; null when it was not by us.</summary>
    public string? PauseReason => _pauseReason;

    private void OutOfSpace(string message)
    {
        _pauseReason = message;
        _log($"paused: {message}; make room, then 'xm unpause'");
        _domain.Pause();
    }

    /// <summary>The guest is about to go on: writes that waited for room are tried again.</summary>
    public void Resume()
    {
        _pauseReason = null;
        _space.Retry();
    }

    /// <summary>Adds the disks of a description.</summary>
    /// <exception cref="OperatorException">one of them cannot be opened</exception>
    public void AttachAll(IReadOnlyList<DiskConfig> disks)
    {
        foreach (DiskConfig disk in disks)
        {
            Attach(disk);
        }
    }

    /// <summary>Adds a disk that cloud-init finds, behind all others: the last name that is free.</summary>
    /// <param name="userData">what it was made from, for the operator</param>
    /// <param name="image">raw</param>
    /// <exception cref="OperatorException">there are too many disks</exception>
    public void AttachSeed(string userData, string image)
    {
        for (char letter = 'z'; letter >= 'a'; letter--)
        {
            string name = $"xvd{letter}";
            if (VirtualDevice.TryParse(name, out int number) && List().All(d => d.Backend.Id != number))
            {
                Attach(new DiskConfig { Path = userData, VirtualDevice = name, ReadOnly = true }, image);
                return;
            }
        }
        throw new OperatorException("cloudinit: all of xvda to xvdz are taken");
    }

    /// <summary>Adds a disk; a running guest sees it appear.</summary>
    /// <exception cref="OperatorException">it cannot be opened, its name is bad or taken, there are too
    /// many</exception>
    /// <param name="disk">what is asked for</param>
    /// <param name="image">where its contents are, when that is not the path that the guest's owner knows</param>
    public DeviceStatus Attach(DiskConfig disk, string? image = null)
    {
        if (!VirtualDevice.TryParse(disk.VirtualDevice, out int number))
        {
            throw new OperatorException(
                $"disk: '{disk.VirtualDevice}' is no virtual device; {VirtualDevice.Forms}");
        }
        if (List().Count >= MaxDisks)
        {
            throw new OperatorException($"disk {disk.VirtualDevice}: the guest has {MaxDisks} disks already");
        }
        string? path = image ?? disk.Path;
        IDisk? opened = path == null ? null : Open(disk.VirtualDevice, path, disk.Format, disk.ReadOnly);
        BlockDevice device = new(_access, new BlockDeviceOptions
        {
            Name = disk.VirtualDevice,
            VirtualDevice = number,
            IsCdRom = disk.IsCdRom,
            IsReadOnly = disk.ReadOnly,
            Discard = disk.Discard,
            Parameters = Parameters(disk.Path, disk.Format),
        }, opened, _space, _log);
        if (!_bus.Add(device))
        {
            device.Dispose();
            throw new OperatorException($"disk {disk.VirtualDevice}: the guest has a disk of that name already");
        }
        return Find(number);
    }

    /// <exception cref="OperatorException">it cannot be opened</exception>
    private static IDisk Open(string name, string path, DiskImageFormat format, bool readOnly)
    {
        try
        {
            return DiskImages.Open(path, format == DiskImageFormat.Qcow2 ? DiskFormat.Qcow2 : DiskFormat.Raw, readOnly);
        }
        catch (DiskException e)
        {
            throw new OperatorException($"disk {name}: {e.Message}");
        }
    }

    /// <summary>As in the "params" node of Xen's back ends: FORMAT:PATH.</summary>
    private static string Parameters(string? path, DiskImageFormat format) =>
        path == null ? "" : $"{(format == DiskImageFormat.Qcow2 ? "qcow2" : "raw")}:{path}";

    /// <summary>Asks the guest to let go of a disk and takes it away; with force without asking.</summary>
    /// <exception cref="OperatorException">there is none, or the guest does not let go</exception>
    public void Detach(string device, bool force)
    {
        DeviceStatus status = Find(Number(device));
        switch (_bus.Remove(Type, status.Backend.Id, force, s_detachPatience).GetAwaiter().GetResult())
        {
            case RemovalOutcome.GuestKeepsIt:
                throw new OperatorException($"disk {device}: the guest has not let go of it after"
                    + $" {s_detachPatience.TotalSeconds} s (is it mounted?); it goes when the guest does,"
                    + " or now with --force");
            case RemovalOutcome.NoSuchDevice:
                throw NoSuchDisk(device);
        }
    }

    /// <summary>Makes a disk larger (null: looks how large it is now) and tells the guest.</summary>
    /// <exception cref="OperatorException">there is none, or it cannot be that large</exception>
    public DeviceStatus Resize(string device, ulong? bytes) => Change(device, (disk, nodes) =>
    {
        if (disk.Disk is not { } image)
        {
            throw new OperatorException($"disk {device}: there is no medium in the drive");
        }
        disk.Resize(nodes, bytes ?? image.SizeBytes);
    });

    /// <summary>Changes the medium of a CD drive; a null path takes it out.</summary>
    /// <exception cref="OperatorException">there is no such drive, or the image cannot be opened</exception>
    public DeviceStatus ChangeMedium(string device, string? path, DiskImageFormat format)
    {
        if (((BlockDevice)Find(Number(device)).Backend).Options is { IsCdRom: false })
        {
            throw new OperatorException($"disk {device}: not a CD drive");
        }
        IDisk? medium = path == null ? null : Open(device, path, format, readOnly: true);
        try
        {
            return Change(device, (disk, nodes) => disk.ChangeMedium(nodes, medium, Parameters(path, format)));
        }
        catch
        {
            medium?.Dispose();
            throw;
        }
    }

    private DeviceStatus Change(string device, Action<BlockDevice, DeviceNodes> change)
    {
        DeviceStatus status = Find(Number(device));
        try
        {
            return _bus.Update(Type, status.Backend.Id, nodes => change((BlockDevice)status.Backend, nodes))
                ? Find(status.Backend.Id) : throw NoSuchDisk(device);
        }
        catch (DiskException e)
        {
            throw new OperatorException($"disk {device}: {e.Message}");
        }
    }

    public IReadOnlyList<DeviceStatus> List() => _bus.List(Type);

    private DeviceStatus Find(int number) => List().FirstOrDefault(d => d.Backend.Id == number)
        ?? throw NoSuchDisk(number.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static int Number(string device) => VirtualDevice.TryParse(device, out int number) ? number
        : throw new OperatorException($"'{device}' is no virtual device; {VirtualDevice.Forms}");

    private static OperatorException NoSuchDisk(string device) => new($"the guest has no disk {device}");
}
