using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Guests.Network;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon.Rest;

/// <summary>The network interfaces of a domain.</summary>
internal sealed partial class Endpoints
{
    /// <summary>Longer than a guest gets to let go of an interface.</summary>
    private static readonly TimeSpan s_interfacePatience = TimeSpan.FromSeconds(15);

    private void MapInterfaces(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/domains/{domain}/interfaces", Guarded(ListInterfaces));
        routes.MapPost("/v1/domains/{domain}/interfaces", Guarded(AttachInterface));
        routes.MapDelete("/v1/domains/{domain}/interfaces/{device}", Guarded(DetachInterface));
    }

    private async Task<IReadOnlyList<InterfaceInfo>> AskNetwork(HttpContext context, NetworkRequest request)
    {
        ControlReply reply = await registry.Ask(Named(context), new ControlRequest(
            DomainSpec.CurrentProtocol, ControlOperation.Network, Network: request), s_interfacePatience);
        return reply.Interfaces ?? [];
    }

    private async Task ListInterfaces(HttpContext context) => await Send(
        context, 200, await AskNetwork(context, new NetworkRequest(NetworkOperation.List)),
        ApiJson.Default.IReadOnlyListInterfaceInfo);

    private async Task AttachInterface(HttpContext context)
    {
        VifConfig vif = await Read(context, ApiJson.Default.VifConfig);
        IReadOnlyList<InterfaceInfo> made = await AskNetwork(
            context, new NetworkRequest(NetworkOperation.Attach, vif));
        await Send(context, 201, made[0], ApiJson.Default.InterfaceInfo);
    }

    /// <summary>?force=true does not wait for the guest.</summary>
    private async Task DetachInterface(HttpContext context)
    {
        bool force = context.Request.Query["force"] == "true";
        await AskNetwork(context, new NetworkRequest(
            NetworkOperation.Detach, Device: (string)context.GetRouteValue("device")!, Force: force));
        context.Response.StatusCode = 204;
    }
}
