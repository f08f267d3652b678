using System;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Control;

namespace Ryokan.HostDaemon.Domains;

/// <summary>Asks a domain's process, over its control socket.</summary>
internal static class ControlClient
{
    /// <summary>
    /// Sends one request and waits for the answer; null when there is no process behind the socket or it ends
    /// first.
    /// </summary>
    /// <exception cref="OperationCanceledException">the time ran out</exception>
    public static async Task<ControlReply?> Ask(
        string socketPath, ControlOperation operation, string? argument, CancellationToken cancel) =>
        await Ask(
            socketPath, new ControlRequest(DomainSpec.CurrentProtocol, operation, argument), cancel);

    /// <inheritdoc cref="Ask(string, ControlOperation, string?, CancellationToken)"/>
    public static async Task<ControlReply?> Ask(
        string socketPath, ControlRequest request, CancellationToken cancel)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancel);
            byte[] line =
                [.. JsonSerializer.SerializeToUtf8Bytes(request, ApiJson.Default.ControlRequest), (byte)'\n'];
            await socket.SendAsync(line, cancel);
            using NetworkStream stream = new(socket);
            using StreamReader reader = new(stream, new UTF8Encoding(false));
            string? answer = await reader.ReadLineAsync(cancel);
            return answer == null ? null : JsonSerializer.Deserialize(answer, ApiJson.Default.ControlReply);
        }
        catch (Exception e) when (e is SocketException or IOException or JsonException)
        {
            return null;
        }
    }
}
