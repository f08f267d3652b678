using System;
using System.IO;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Linux.Interop.Terminal;

namespace Ryokan.Xm.Console;

/// <summary>How a console session came to its end.</summary>
internal enum SessionEnd
{
    /// <summary>The guest, or its process, is gone.</summary>
    GuestGone,

    /// <summary>The user left with Ctrl-].</summary>
    Left,

    /// <summary>Nobody reads our output any more.</summary>
    OutputBroken,
}

/// <summary>
/// A domain's console on stdin and stdout. A terminal is put into raw mode for the time of the session and
/// restored whatever ends it; Ctrl-] leaves. Without a terminal bytes pass through unchanged.
/// </summary>
internal sealed class ConsoleSession : IDisposable
{
    private const byte Escape = 0x1d;

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly RawTerminal? _terminal;
    private readonly PosixSignalRegistration[] _signals;
    private volatile bool _left;

    /// <param name="path">the domain's console socket</param>
    /// <param name="withHistory">begin with what the console has shown so far</param>
    /// <exception cref="UsageException">nobody serves the socket</exception>
    public ConsoleSession(string path, bool withHistory)
    {
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(path));
            SendAll(withHistory ? "all\n"u8 : "new\n"u8);
        }
        catch (SocketException e)
        {
            _socket.Dispose();
            throw new UsageException(
                $"the console cannot be reached ({e.Message}); the domain may have ended");
        }
        _terminal = RawTerminal.Enter(0);
        _signals =
        [
            Restoring(PosixSignal.SIGINT, 2), Restoring(PosixSignal.SIGTERM, 15),
            Restoring(PosixSignal.SIGHUP, 1), Restoring(PosixSignal.SIGQUIT, 3),
        ];
    }

    /// <summary>A signal ends the program as it would without us, but with the terminal as it was.</summary>
    private PosixSignalRegistration Restoring(PosixSignal signal, int number) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            _terminal?.Dispose();
            Environment.Exit(128 + number);
        });

    /// <summary>Passes bytes both ways until one side ends it.</summary>
    public SessionEnd Run()
    {
        new Thread(PassInput) { IsBackground = true, Name = "input" }.Start();
        byte[] buffer = new byte[16 << 10];
        try
        {
            for (int n; (n = _socket.Receive(buffer)) > 0 && !_left;)
            {
                StandardOutput.Write(buffer.AsSpan(0, n));
            }
        }
        catch (SocketException)
        {
            // The same as an orderly end.
        }
        catch (IOException)
        {
            return SessionEnd.OutputBroken;
        }
        return _left ? SessionEnd.Left : SessionEnd.GuestGone;
    }

    private void PassInput()
    {
        try
        {
            using Stream input = System.Console.OpenStandardInput();
            byte[] buffer = new byte[4096];
            for (int n; (n = input.Read(buffer)) > 0;)
            {
                int escape = _terminal == null ? -1 : buffer.AsSpan(0, n).IndexOf(Escape);
                SendAll(buffer.AsSpan(0, escape < 0 ? n : escape));
                if (escape >= 0)
                {
                    _left = true;
                    _socket.Shutdown(SocketShutdown.Both);
                    return;
                }
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // Either side is gone; the other direction notices by itself.
        }
    }

    private void SendAll(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    public void Dispose()
    {
        _terminal?.Dispose();
        foreach (PosixSignalRegistration signal in _signals)
        {
            signal.Dispose();
        }
        _socket.Dispose();
    }
}
