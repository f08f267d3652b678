using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon.Rest;

/// <summary>The disks of a domain.</summary>
internal sealed partial class Endpoints
{
    /// <summary>Longer than a guest gets to let go of a disk.</summary>
    private static readonly TimeSpan s_diskPatience = TimeSpan.FromSeconds(15);

    private void MapDisks(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/domains/{domain}/disks", Guarded(ListDisks));
        routes.MapPost("/v1/domains/{domain}/disks", Guarded(AttachDisk));
        routes.MapPatch("/v1/domains/{domain}/disks/{device}", Guarded(ChangeDisk));
        routes.MapDelete("/v1/domains/{domain}/disks/{device}", Guarded(DetachDisk));
    }

    private async Task<IReadOnlyList<DiskInfo>> AskDisk(HttpContext context, DiskRequest request)
    {
        ControlReply reply = await registry.Ask(
            Named(context),
            new ControlRequest(DomainSpec.CurrentProtocol, ControlOperation.Disk, Disk: request), s_diskPatience);
        return reply.Disks ?? [];
    }

    private static string Device(HttpContext context) => (string)context.GetRouteValue("device")!;

    private async Task ListDisks(HttpContext context) => await Send(
        context, 200, await AskDisk(context, new DiskRequest(DiskOperation.List)),
        ApiJson.Default.IReadOnlyListDiskInfo);

    private async Task AttachDisk(HttpContext context)
    {
        DiskConfig disk = await Read(context, ApiJson.Default.DiskConfig);
        IReadOnlyList<DiskInfo> made = await AskDisk(context, new DiskRequest(DiskOperation.Attach, disk));
        await Send(context, 201, made[0], ApiJson.Default.DiskInfo);
    }

    private async Task ChangeDisk(HttpContext context)
    {
        DiskChange change = await Read(context, ApiJson.Default.DiskChange);
        IReadOnlyList<DiskInfo> changed = await AskDisk(
            context, new DiskRequest(DiskOperation.Change, Device: Device(context), Change: change));
        await Send(context, 200, changed[0], ApiJson.Default.DiskInfo);
    }

    /// <summary>?force=true does not wait for the guest.</summary>
    private async Task DetachDisk(HttpContext context)
    {
        bool force = context.Request.Query["force"] == "true";
        await AskDisk(context, new DiskRequest(DiskOperation.Detach, Device: Device(context), Force: force));
        context.Response.StatusCode = 204;
    }
}
