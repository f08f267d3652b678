using System;
using System.Threading;

namespace Ryokan.DomainHost.Console;

/// <summary>
/// Moves bytes between a console ring and the hub on a thread of its own: it sleeps until the guest or a
/// client has something.
/// </summary>
internal sealed class ConsoleBackend : IDisposable
{
    /// <summary>Input that waits for the guest to read; more is dropped, as a serial line would.</summary>
    private const int MaxPendingInput = 64 << 10;

    private readonly ConsoleHub _hub;
    private readonly AutoResetEvent _work = new(false);
    private readonly byte[] _output = new byte[2048];
    private readonly object _inputLock = new();
    private byte[] _input = [];
    private ConsoleRing? _ring;
    private Action? _notifyGuest;
    private Thread? _thread;
    private volatile bool _stop;

    public ConsoleBackend(ConsoleHub hub) => _hub = hub;

    /// <summary>
    /// Starts moving bytes. <paramref name="notifyGuest"/> raises the console's event port.
    /// </summary>
    public void Start(ConsoleRing ring, Action notifyGuest)
    {
        (_ring, _notifyGuest) = (ring, notifyGuest);
        _thread = new Thread(Run) { IsBackground = true, Name = "console" };
        _thread.Start();
    }

    /// <summary>The guest sent an event, or there is input. Any thread; only wakes.</summary>
    public void Wake() => _work.Set();

    /// <summary>Input from a client. Any thread.</summary>
    public void Input(ReadOnlySpan<byte> text)
    {
        lock (_inputLock)
        {
            int n = Math.Min(text.Length, MaxPendingInput - _input.Length);
            _input = [.. _input, .. text[..n]];
        }
        Wake();
    }

    private void Run()
    {
        while (!_stop)
        {
            _work.WaitOne();
            Move();
        }
    }

    private void Move()
    {
        for (int n; (n = _ring!.ReadOutput(_output)) != 0;)
        {
            _hub.Write(_output.AsSpan(0, n));
            // A guest that was waiting for room goes on now, not when everything is read.
            _notifyGuest!();
        }
        lock (_inputLock)
        {
            if (_input.Length != 0 && _ring.WriteInput(_input) is var taken and not 0)
            {
                _input = _input[taken..];
                    _notifyGuest!();
            }
        }
    }

    /// <summary>Stops after everything that the guest had written has been taken.</summary>
    public void Dispose()
    {
        _stop = true;
        _work.Set();
        _thread?.Join();
        if (_ring != null)
        {
            Move();
        }
    }
}
