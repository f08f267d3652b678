using System;
using System.IO;
using System.Net.Sockets;
using System.Threading;

namespace Ryokan.DomainHost.Hosted;

/// <summary>Accepts connections on a unix socket in a directory that only its owner can enter.</summary>
internal sealed class Listener : IDisposable
{
    /// <summary>Connections that wait to be accepted.</summary>
    private const int Backlog = 16;

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _path;

    public Listener(string path)
    {
        _path = path;
        File.Delete(path);
        _socket.Bind(new UnixDomainSocketEndPoint(path));
        _socket.Listen(Backlog);
    }

    /// <summary>Hands every connection to <paramref name="serve"/>, which must return at once.</summary>
    public void Start(string name, Action<Socket> serve) =>
        new Thread(() => Accept(serve)) { IsBackground = true, Name = name }.Start();

    private void Accept(Action<Socket> serve)
    {
        try
        {
            for (; ; )
            {
                serve(_socket.Accept());
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Closed: the domain ends.
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        File.Delete(_path);
    }
}
