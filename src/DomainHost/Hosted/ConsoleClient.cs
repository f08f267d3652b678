using System;
using System.Net.Sockets;
using System.Threading;
using Ryokan.DomainHost.Console;

namespace Ryokan.DomainHost.Hosted;

/// <summary>
/// One client of a domain's console: a thread that writes to it from a bounded queue and one that reads from
/// it. A client that does not read loses output, never holds up the guest or other clients.
/// </summary>
internal sealed class ConsoleClient : IConsoleListener
{
    /// <summary>Output that waits for a slow client; room for the history and a lot more.</summary>
    private const int MaxQueuedBytes = 4 << 20;

    /// <summary>Longest greeting.</summary>
    private const int MaxGreetingBytes = 32;

    private readonly Socket _socket;
    private readonly ConsoleHub _hub;
    private readonly ConsoleBackend _backend;
    private readonly object _lock = new();
    private byte[] _queue = new byte[16 << 10];
    private int _queued;
    private bool _ending;
    private bool _dropped;

    private ConsoleClient(Socket socket, ConsoleHub hub, ConsoleBackend backend) =>
        (_socket, _hub, _backend) = (socket, hub, backend);

    public Thread? Writer { get; private set; }

    /// <summary>Serves a client until it goes away or the domain ends. Returns at once.</summary>
    public static ConsoleClient Serve(Socket socket, ConsoleHub hub, ConsoleBackend backend)
    {
        ConsoleClient client = new(socket, hub, backend);
        client.Writer = new Thread(client.Write) { IsBackground = true, Name = "console-out" };
        new Thread(client.Read) { IsBackground = true, Name = "console-in" }.Start();
        return client;
    }

    public void Output(ReadOnlySpan<byte> text)
    {
        lock (_lock)
        {
            if (_dropped || _queued + text.Length > MaxQueuedBytes)
            {
                _dropped = true;
                return;
            }
            if (_queued + text.Length > _queue.Length)
            {
                Array.Resize(ref _queue, Math.Max(_queue.Length * 2, _queued + text.Length));
            }
            text.CopyTo(_queue.AsSpan(_queued));
            _queued += text.Length;
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>Nothing more comes: the writer ends when the queue is empty.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            _ending = true;
            Monitor.Pulse(_lock);
        }
    }

    private void Write()
    {
        byte[] batch = [];
        try
        {
            while (Next(ref batch) is var n and not 0)
            {
                _socket.SendAll(batch.AsSpan(0, n));
            }
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // The client is gone; its reader notices too.
        }
    }

    /// <summary>Waits for output and takes all of it; 0 at the end.</summary>
    private int Next(ref byte[] batch)
    {
        lock (_lock)
        {
            while (_queued == 0 && !_ending)
            {
                Monitor.Wait(_lock);
            }
            (batch, _queue) = (_queue, batch.Length == 0 ? new byte[16 << 10] : batch);
            int n = _queued;
            _queued = 0;
            if (_dropped)
            {
                _dropped = false;
                batch = [.. batch.AsSpan(0, n),
                    .. "\r\n[console output lost: the reader was too slow]\r\n"u8];
                n = batch.Length;
            }
            return n;
        }
    }

    private void Read()
    {
        try
        {
            byte[] buffer = new byte[4096];
            int used = ReadGreeting(buffer, out bool withHistory, out int filled);
            _hub.Attach(this, withHistory);
            Writer!.Start();
            for (int n = filled - used; n >= 0; n = _socket.Receive(buffer) is var got and > 0 ? got : -1)
            {
                _backend.Input(buffer.AsSpan(used, n));
                used = 0;
            }
        }
        catch (SocketException)
        {
            // Gone.
        }
        _hub.Detach(this);
        Finish();
        Writer!.JoinIfStarted();
        _socket.Dispose();
    }

    /// <summary>
    /// The client's first line: "all" for what the console has shown so far and then the rest, anything else
    /// for the rest alone.
    /// </summary>
    private int ReadGreeting(byte[] buffer, out bool withHistory, out int filled)
    {
        filled = 0;
        for (; ; )
        {
            int n = _socket.Receive(buffer.AsSpan(filled));
            filled += n;
            int end = buffer.AsSpan(0, filled).IndexOf((byte)'\n');
            if (end >= 0)
            {
                withHistory = buffer.AsSpan(0, end).SequenceEqual("all"u8);
                return end + 1;
            }
            if (n == 0 || filled > MaxGreetingBytes)
            {
                throw new SocketException((int)SocketError.ProtocolNotSupported);
            }
        }
    }
}
