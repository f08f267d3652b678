using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Guests.Network;
using Ryokan.Api.Wire;

namespace Ryokan.Api;

/// <summary>The daemon refused a request; the message is one line for a person.</summary>
public sealed class RefusedException(Problem problem) : Exception(problem.Detail)
{
    public Problem Problem { get; } = problem;
}

/// <summary>Nobody serves the daemon's socket, or it stopped doing so.</summary>
public sealed class DaemonUnreachableException(string message) : Exception(message);

/// <summary>The typed client of the REST interface, over the daemon's unix socket.</summary>
public sealed class DaemonClient : IDisposable
{
    private readonly HttpClient _http;

    public DaemonClient(string socketPath)
    {
        SocketsHttpHandler handler = new()
        {
            UseProxy = false,
            ConnectCallback = async (_, cancel) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancel);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        _http = new HttpClient(handler)
        {
            BaseAddress = new Uri("http://ryokan"),
            Timeout = Timeout.InfiniteTimeSpan,
        };
    }

    public Task<HostInfo> Host() => Get("/v1/host", ApiJson.Default.HostInfo);

    public Task<IReadOnlyList<DomainInfo>> List() =>
        Get("/v1/domains", ApiJson.Default.IReadOnlyListDomainInfo);

    public Task<DomainInfo> Find(string idOrName) => Get(Path(idOrName), ApiJson.Default.DomainInfo);

    public Task<DomainInfo> Create(CreateRequest request) =>
        Send(HttpMethod.Post, "/v1/domains", Body(request, ApiJson.Default.CreateRequest),
            ApiJson.Default.DomainInfo);

    public Task Act(string idOrName, DomainAction action, string? key = null) =>
        Send(HttpMethod.Post, Path(idOrName) + "/actions",
            Body(new ActionRequest(action, key), ApiJson.Default.ActionRequest));

    /// <summary>Changes memory, vCPUs, placement or shares of a domain.</summary>
    public Task<SettingsResult> Set(string idOrName, DomainSettings settings) =>
        Send(HttpMethod.Patch, Path(idOrName), Body(settings, ApiJson.Default.DomainSettings),
            ApiJson.Default.SettingsResult);

    public Task<IReadOnlyList<DiskInfo>> Disks(string idOrName) =>
        Get(Path(idOrName) + "/disks", ApiJson.Default.IReadOnlyListDiskInfo);

    /// <summary>Adds a disk to a running domain.</summary>
    public Task<DiskInfo> AttachDisk(string idOrName, DiskConfig disk) =>
        Send(HttpMethod.Post, Path(idOrName) + "/disks", Body(disk, ApiJson.Default.DiskConfig),
            ApiJson.Default.DiskInfo);

    /// <summary>Takes a disk away; without <paramref name="force"/> the guest has to let go of it.</summary>
    public Task DetachDisk(string idOrName, string device, bool force) =>
        Send(HttpMethod.Delete, DiskPath(idOrName, device) + (force ? "?force=true" : ""), null);

    /// <summary>Resizes a disk or changes the medium of a CD drive.</summary>
    public Task<DiskInfo> ChangeDisk(string idOrName, string device, DiskChange change) =>
        Send(HttpMethod.Patch, DiskPath(idOrName, device), Body(change, ApiJson.Default.DiskChange),
            ApiJson.Default.DiskInfo);

    private static string DiskPath(string idOrName, string device) =>
        $"{Path(idOrName)}/disks/{Uri.EscapeDataString(device)}";

    public Task<IReadOnlyList<InterfaceInfo>> Interfaces(string idOrName) =>
        Get(Path(idOrName) + "/interfaces", ApiJson.Default.IReadOnlyListInterfaceInfo);

    /// <summary>Adds a network interface to a running domain.</summary>
    public Task<InterfaceInfo> AttachInterface(string idOrName, VifConfig vif) =>
        Send(HttpMethod.Post, Path(idOrName) + "/interfaces", Body(vif, ApiJson.Default.VifConfig),
            ApiJson.Default.InterfaceInfo);

    /// <summary>
    /// Takes an interface away, named by number or MAC address; without <paramref name="force"/> the guest has to
    /// let go of it.
    /// </summary>
    public Task DetachInterface(string idOrName, string device, bool force) => Send(HttpMethod.Delete,
        $"{Path(idOrName)}/interfaces/{Uri.EscapeDataString(device)}{(force ? "?force=true" : "")}", null);

    /// <summary>Ends a domain at once; returns when nothing of it is left.</summary>
    public Task Destroy(string idOrName) => Send(HttpMethod.Delete, Path(idOrName), null);

    /// <summary>Waits until a domain has ended.</summary>
    public Task<DomainEnd> End(int id) =>
        Get(FormattableString.Invariant($"/v1/domains/{id}/end"), ApiJson.Default.DomainEnd);

    public async Task<byte[]> Messages()
    {
        using HttpResponseMessage response = await Send(HttpMethod.Get, "/v1/messages", null);
        return await response.Content.ReadAsByteArrayAsync();
    }

    public Task ClearMessages() => Send(HttpMethod.Delete, "/v1/messages", null);

    private static string Path(string idOrName) => "/v1/domains/" + Uri.EscapeDataString(idOrName);

    private static ByteArrayContent Body<T>(T value, JsonTypeInfo<T> type)
    {
        ByteArrayContent content = new(JsonSerializer.SerializeToUtf8Bytes(value, type));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }

    private Task<T> Get<T>(string path, JsonTypeInfo<T> type) => Send(HttpMethod.Get, path, null, type);

    private async Task<T> Send<T>(HttpMethod method, string path, HttpContent? body, JsonTypeInfo<T> type)
    {
        using HttpResponseMessage response = await Send(method, path, body);
        byte[] answer = await response.Content.ReadAsByteArrayAsync();
        return JsonSerializer.Deserialize(answer, type)
            ?? throw new DaemonUnreachableException("ryokand sent an empty answer");
    }

    /// <exception cref="RefusedException">the daemon says no</exception>
    /// <exception cref="DaemonUnreachableException">there is no daemon, or it went away</exception>
    private async Task<HttpResponseMessage> Send(HttpMethod method, string path, HttpContent? body)
    {
        try
        {
            HttpRequestMessage request = new(method, path) { Content = body };
            HttpResponseMessage response = await _http.SendAsync(request);
            if (response.IsSuccessStatusCode)
            {
                return response;
            }
            byte[] answer = await response.Content.ReadAsByteArrayAsync();
            throw new RefusedException(JsonSerializer.Deserialize(answer, ApiJson.Default.Problem)
                ?? new Problem((int)response.StatusCode, ProblemCodes.Internal,
                    $"ryokand answers {response.StatusCode}"));
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException)
        {
            throw new DaemonUnreachableException($"ryokand does not answer: {e.GetBaseException().Message}");
        }
    }

    public void Dispose() => _http.Dispose();
}
