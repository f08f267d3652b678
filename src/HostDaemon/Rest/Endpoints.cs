using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Wire;
using Ryokan.HostDaemon.Domains;

namespace Ryokan.HostDaemon.Rest;

/// <summary>The REST interface, version 1: paths to operations of the registry.</summary>
internal sealed partial class Endpoints(DomainRegistry registry, CancellationToken stopping)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/host", Guarded(Host));
        routes.MapGet("/v1/messages", Guarded(Messages));
        routes.MapDelete("/v1/messages", Guarded(ClearMessages));
        routes.MapGet("/v1/domains", Guarded(List));
        routes.MapPost("/v1/domains", Guarded(Create));
        routes.MapGet("/v1/domains/{domain}", Guarded(Get));
        routes.MapDelete("/v1/domains/{domain}", Guarded(Destroy));
        routes.MapPatch("/v1/domains/{domain}", Guarded(Set));
        routes.MapPost("/v1/domains/{domain}/actions", Guarded(Act));
        routes.MapGet("/v1/domains/{domain}/end", Guarded(AwaitEnd));
        MapDisks(routes);
        MapInterfaces(routes);
    }

    /// <summary>Turns refusals into problem documents.</summary>
    private static RequestDelegate Guarded(Func<HttpContext, Task> handler) => async context =>
    {
        try
        {
            await handler(context);
        }
        catch (ProblemException e)
        {
            await SendProblem(context, e.Problem);
        }
        catch (Exception e) when (e is JsonException or BadHttpRequestException)
        {
            await SendProblem(context, new Problem(400, ProblemCodes.BadRequest, e.Message));
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            Console.Error.WriteLine(e);
            await SendProblem(context, new Problem(500, ProblemCodes.Internal, $"ryokand: {e.Message}"));
        }
    };

    private static Task SendProblem(HttpContext context, Problem problem)
    {
        context.Response.ContentType = "application/problem+json";
        return Send(context, problem.Status, problem, ApiJson.Default.Problem);
    }

    private static async Task Send<T>(HttpContext context, int status, T value, JsonTypeInfo<T> type)
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(value, type);
        context.Response.StatusCode = status;
        context.Response.ContentType ??= "application/json";
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body);
    }

    private static async Task<T> Read<T>(HttpContext context, JsonTypeInfo<T> type) =>
        await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted)
        ?? throw new ProblemException(400, ProblemCodes.BadRequest, "a body is missing");

    private DomainRecord Named(HttpContext context) =>
        registry.Find((string)context.GetRouteValue("domain")!);

    private Task Host(HttpContext context) =>
        Send(context, 200, HostFacts.Read(registry.All().Count), ApiJson.Default.HostInfo);

    private async Task Messages(HttpContext context)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        await context.Response.Body.WriteAsync(registry.Messages.Read());
    }

    private Task ClearMessages(HttpContext context)
    {
        registry.Messages.Clear();
        context.Response.StatusCode = 204;
        return Task.CompletedTask;
    }

    private async Task List(HttpContext context)
    {
        DomainInfo?[] infos = await Task.WhenAll(registry.All().Select(registry.Info));
        IReadOnlyList<DomainInfo> present = [.. infos.OfType<DomainInfo>()];
        await Send(context, 200, present, ApiJson.Default.IReadOnlyListDomainInfo);
    }

    private async Task Create(HttpContext context)
    {
        CreateRequest request = await Read(context, ApiJson.Default.CreateRequest);
        DomainRecord record = await registry.Create(request.Config, request.Paused);
        if (context.RequestAborted.IsCancellationRequested)
        {
            // Whoever asked is gone and will never learn its id.
            await registry.Destroy(record);
            return;
        }
        DomainInfo info = (await registry.Ask(record, ControlOperation.Info)).Info!;
        context.Response.Headers.Location = $"/v1/domains/{record.Id}";
        await Send(context, 201, info, ApiJson.Default.DomainInfo);
    }

    private async Task Get(HttpContext context)
    {
        ControlReply reply = await registry.Ask(Named(context), ControlOperation.Info);
        await Send(context, 200, reply.Info!, ApiJson.Default.DomainInfo);
    }

    private async Task Destroy(HttpContext context)
    {
        await registry.Destroy(Named(context));
        context.Response.StatusCode = 204;
    }

    private async Task Act(HttpContext context)
    {
        DomainRecord record = Named(context);
        ActionRequest request = await Read(context, ApiJson.Default.ActionRequest);
        ControlOperation operation = request.Action switch
        {
            DomainAction.Pause => ControlOperation.Pause,
            DomainAction.Unpause => ControlOperation.Unpause,
            DomainAction.Shutdown => ControlOperation.Shutdown,
            DomainAction.Reboot => ControlOperation.Reboot,
            DomainAction.Sysrq => ControlOperation.Sysrq,
            _ => throw new ProblemException(400, ProblemCodes.BadRequest, "unknown action"),
        };
        await registry.Ask(record, operation, request.Key);
        context.Response.StatusCode = 204;
    }

    private async Task Set(HttpContext context)
    {
        DomainRecord record = Named(context);
        DomainSettings settings = await Read(context, ApiJson.Default.DomainSettings);
        ControlReply reply = await registry.Ask(record, new ControlRequest(
            DomainSpec.CurrentProtocol, ControlOperation.Set, Settings: settings));
        await Send(context, 200, new SettingsResult(reply.Note), ApiJson.Default.SettingsResult);
    }

    /// <summary>
    /// Answers when the domain has ended; at once for one that ended lately. Takes ids only.
    /// </summary>
    private async Task AwaitEnd(HttpContext context)
    {
        string domain = (string)context.GetRouteValue("domain")!;
        DomainEnd? end = int.TryParse(domain, out int id) ? registry.Ended.Find(id) : null;
        if (end == null)
        {
            using CancellationTokenSource cancel =
                CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
            end = await registry.Find(domain).End.Task.WaitAsync(cancel.Token);
        }
        await Send(context, 200, end, ApiJson.Default.DomainEnd);
    }
}
