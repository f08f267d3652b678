using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Ryokan.Linux.Interop.Network;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// Shows a screen to viewers that speak RFB 3.3 to 3.8 (RFC 6143): one port, a bounded number of viewers, threads that
/// are theirs alone. Viewers are as little trusted as guests.
/// </summary>
public sealed class RfbServer : IDisposable
{
    public const int FirstPort = 5900, MaxDisplay = 65535 - FirstPort;

    /// <summary>Most viewers, those that have not said yet who they are among them.</summary>
    public const int MaxViewers = 16;

    /// <summary>Displays that are tried when the first is to be a free one.</summary>
    private const int DisplaysToTry = 100;

    private const int Backlog = 4;

    /// <summary>What the host gets to have descriptors again.</summary>
    private static readonly TimeSpan s_acceptPause = TimeSpan.FromMilliseconds(200);

    private readonly RfbServerOptions _options;
    private readonly Socket _listener;
    private readonly Thread _thread;
    private readonly List<RfbViewer> _viewers = [];
    private bool _closed;

    /// <summary>Opens the port; viewers can come from now on.</summary>
    /// <exception cref="HostNetworkException">the address is none of the host's, or the port is taken</exception>
    public RfbServer(RfbServerOptions options)
    {
        _options = options;
        _listener = Listen(options, out int display);
        Display = display;
        _thread = new Thread(Accept) { IsBackground = true, Name = "vnc-accept" };
        _thread.Start();
    }

    /// <summary>The one that was free.</summary>
    public int Display { get; }

    public int Port => FirstPort + Display;

    private static Socket Listen(RfbServerOptions options, out int display)
    {
        int last = options.FindUnused ? Math.Min(MaxDisplay, options.Display + DisplaysToTry - 1) : options.Display;
        for (display = options.Display; ; display++)
        {
            IPEndPoint place = new(options.Address, FirstPort + display);
            Socket socket = new(options.Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(place);
                socket.Listen(Backlog);
                return socket;
            }
            catch (SocketException e)
            {
                socket.Dispose();
                bool taken = e.SocketErrorCode == SocketError.AddressAlreadyInUse;
                if (!taken || display >= last)
                {
                    string tried = options.FindUnused && taken
                        ? string.Create(CultureInfo.InvariantCulture, $" (displays {options.Display} to {last})") : "";
                    throw new HostNetworkException($"{place}: {Reason(e)}{tried}");
                }
            }
        }
    }

    private static string Reason(SocketException e) => e.SocketErrorCode switch
    {
        SocketError.AddressAlreadyInUse => "in use",
        SocketError.AddressNotAvailable => "not an address of this host",
        SocketError.AccessDenied => "permission denied",
        _ => e.Message,
    };

    private void Accept()
    {
        while (true)
        {
            try
            {
                Socket socket = _listener.Accept();
                try
                {
                    Admit(socket);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            }
            catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException)
            {
                lock (_viewers)
                {
                    if (_closed)
                    {
                        return;
                    }
                }
                Thread.Sleep(s_acceptPause);
            }
        }
    }

    private void Admit(Socket socket)
    {
        RfbViewer? dropped = null;
        bool admitted = false;
        lock (_viewers)
        {
            if (_viewers.Count >= MaxViewers)
            {
                // Those that only hold the door do not keep others out for ever.
                dropped = _viewers.FirstOrDefault(v => !v.IsLetIn);
            }
            else if (!_closed)
            {
                RfbViewer viewer = new(_options, new RfbConnection(socket), Forget);
                _viewers.Add(viewer);
                viewer.Start();
                admitted = true;
            }
        }
        dropped?.Close();
        if (!admitted)
        {
            socket.Dispose();
        }
    }

    private void Forget(RfbViewer viewer)
    {
        lock (_viewers)
        {
            _viewers.Remove(viewer);
        }
    }

    /// <summary>Closes the port and puts all viewers out; nobody looks at the surface any more on return.</summary>
    public void Dispose()
    {
        RfbViewer[] viewers;
        lock (_viewers)
        {
            if (_closed)
            {
                return;
            }
            _closed = true;
            viewers = [.. _viewers];
        }
        _listener.Dispose();
        _thread.Join();
        foreach (RfbViewer viewer in viewers)
        {
            viewer.Dispose();
        }
    }
}
