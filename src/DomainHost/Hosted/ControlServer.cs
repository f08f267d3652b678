using System;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Wire;

namespace Ryokan.DomainHost.Hosted;

/// <summary>
/// Answers requests on a domain's control socket, one JSON object per line, in order within a connection.
/// Each connection has a thread, so a waiting one holds up nobody.
/// </summary>
internal sealed class ControlServer
{
    /// <summary>No request is longer.</summary>
    private const int MaxLineCharacters = 16 << 10;

    private readonly Func<ControlRequest, ControlReply> _handle;

    public ControlServer(Func<ControlRequest, ControlReply> handle) => _handle = handle;

    public void Serve(Socket socket) =>
        new Thread(() => Run(socket)) { IsBackground = true, Name = "control" }.Start();

    private void Run(Socket socket)
    {
        try
        {
            using NetworkStream stream = new(socket, ownsSocket: true);
            using StreamReader reader = new(stream, new UTF8Encoding(false));
            while (ReadLine(reader) is { } line)
            {
                byte[] reply =
                    JsonSerializer.SerializeToUtf8Bytes(Answer(line), ApiJson.Default.ControlReply);
                stream.Write([.. reply, (byte)'\n']);
            }
        }
        catch (IOException)
        {
            // The other side is gone.
        }
    }

    private static string? ReadLine(StreamReader reader)
    {
        StringBuilder line = new();
        for (int c; (c = reader.Read()) >= 0;)
        {
            if (c == '\n')
            {
                return line.ToString();
            }
            if (line.Append((char)c).Length > MaxLineCharacters)
            {
                return null;
            }
        }
        return null;
    }

    private ControlReply Answer(string line)
    {
        ControlRequest? request;
        try
        {
            request = JsonSerializer.Deserialize(line, ApiJson.Default.ControlRequest);
        }
        catch (JsonException e)
        {
            return Refuse(400, ProblemCodes.BadRequest, $"not a control request: {e.Message}");
        }
        return request is not { Protocol: DomainSpec.CurrentProtocol }
            ? Refuse(400, ProblemCodes.BadRequest,
                $"this domain speaks version {DomainSpec.CurrentProtocol} of the protocol")
            : _handle(request);
    }

    public static ControlReply Refuse(int status, string code, string detail) =>
        new(new Problem(status, code, detail));
}
