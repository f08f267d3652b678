using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Ryokan.Api.Control;
using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Wire;
using Ryokan.Backends.Block;
using Ryokan.Backends.Xenbus;
using Ryokan.DomainHost.Devices;

namespace Ryokan.DomainHost.Hosted;

/// <summary>Answers control requests about disks.</summary>
internal static class DiskControl
{
    public static ControlReply Handle(GuestDisks disks, DiskRequest? request)
    {
        try
        {
            return request switch
            {
                { Operation: DiskOperation.List } => new ControlReply(Disks: [.. disks.List().Select(Describe)]),
                { Operation: DiskOperation.Attach, Disk: { } disk } => One(disks.Attach(disk)),
                { Operation: DiskOperation.Detach, Device: { } device } => Detach(disks, device, request.Force),
                { Operation: DiskOperation.Change, Device: { } device, Change: { } change } =>
                    Change(disks, device, change),
                _ => ControlServer.Refuse(400, ProblemCodes.BadRequest, "not a request about disks"),
            };
        }
        catch (OperatorException e)
        {
            return ControlServer.Refuse(409, ProblemCodes.DiskRefused, e.Message);
        }
        catch (ObjectDisposedException)
        {
            return ControlServer.Refuse(409, ProblemCodes.WrongState, "the domain is stopping");
        }
    }

    private static ControlReply Detach(GuestDisks disks, string device, bool force)
    {
        disks.Detach(device, force);
        return new ControlReply();
    }

    private static ControlReply Change(GuestDisks disks, string device, DiskChange change) => change switch
    {
        { SizeBytes: not null } or { Refresh: true } => One(disks.Resize(device, change.SizeBytes)),
        { MediumPath: not null } or { Eject: true } =>
            One(disks.ChangeMedium(device, change.Eject ? null : change.MediumPath, change.MediumFormat)),
        _ => ControlServer.Refuse(400, ProblemCodes.BadRequest, "nothing to change"),
    };

    private static ControlReply One(DeviceStatus status) => new(Disks: [Describe(status)]);

    private static DiskInfo Describe(DeviceStatus status)
    {
        BlockDevice device = (BlockDevice)status.Backend;
        string[] parts = device.Parameters.Split(':', 2);
        bool connected = status.State == Xen.Abi.XenbusState.Connected;
        return new DiskInfo
        {
            VirtualDevice = device.Name,
            DeviceId = device.Id,
            Path = parts.Length == 2 ? parts[1] : null,
            Format = parts[0] == "qcow2" ? DiskImageFormat.Qcow2 : DiskImageFormat.Raw,
            ReadOnly = device.Options.IsReadOnly,
            IsCdRom = device.Options.IsCdRom,
            SizeBytes = device.Disk?.SizeBytes ?? 0,
            State = status.State,
            EventChannel = connected ? Number(status.Nodes, "event-channel") : null,
            RingReference = connected ? Number(status.Nodes, "ring-ref") : null,
            BackendPath = status.Nodes.BackendPath,
        };
    }

    /// <summary>A node of the first queue, wherever the guest put it.</summary>
    private static uint? Number(DeviceNodes nodes, string name)
    {
        string? text = nodes.ReadFrontend(name) ?? nodes.ReadFrontend(name + "0")
            ?? nodes.ReadFrontend("queue-0/" + name) ?? nodes.ReadFrontend($"queue-0/{name}0");
        return uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) ? value : null;
    }
}
