using System;
using System.Threading;
using Ryokan.Linux.Interop;

namespace Ryokan.Backends.Rings;

/// <summary>
/// One thread for one event channel of the guest: it sleeps until the guest (or a wake from elsewhere) has
/// work, and does it. Idle it costs nothing.
/// </summary>
public sealed class RingWorker : IDisposable
{
    private readonly GuestAccess _guest;
    /// <summary>
    /// Not disposed: a vCPU that sends at the moment of unbinding may still set it. Its finalizer frees it.
    /// </summary>
    private readonly Futex _work = new();

    private readonly Thread _thread;
    private readonly Action _process;
    private readonly Action<string> _failed;
    private volatile bool _stop;
    private bool _started;

    /// <summary>Binds the guest's port; the thread runs from <see cref="Start"/> on.</summary>
    /// <param name="guest">whose port</param>
    /// <param name="name">of the thread, 15 characters at most</param>
    /// <param name="port">the guest's port that it left unbound for domain 0</param>
    /// <param name="process">does everything there is to do, then returns; on the worker's thread</param>
    /// <param name="failed">gets the message of a <see cref="FrontendException"/> that
    /// <paramref name="process"/> threw; the thread ends then</param>
    /// <exception cref="FrontendException">the guest has no such port for us</exception>
    public RingWorker(GuestAccess guest, string name, uint port, Action process, Action<string> failed)
    {
        _guest = guest;
        _process = process;
        _failed = failed;
        long error = guest.Events.BindBackend(port, _work.Set, out uint bound);
        if (error != 0)
        {
            throw new FrontendException($"event channel {port} cannot be bound (errno {-error})");
        }
        Port = bound;
        _thread = new Thread(Run) { IsBackground = true, Name = name };
    }

    public uint Port { get; }

    /// <summary>True from <see cref="BeginStop"/> on.</summary>
    public bool IsStopping => _stop;

    public void Start()
    {
        _started = true;
        _thread.Start();
    }

    /// <summary>Makes the worker look again. Any thread; never waits.</summary>
    public void Wake() => _work.Set();

    /// <summary>Raises the guest's port. Any thread.</summary>
    public void NotifyGuest() => _guest.Events.NotifyGuest(Port);

    private void Run()
    {
        try
        {
            while (!_stop)
            {
                _process();
                _work.WaitUntil(long.MaxValue);
            }
        }
        catch (FrontendException e)
        {
            _failed(e.Message);
        }
    }

    /// <summary>Tells the thread to end; it finishes what it is doing. Any thread; never waits.</summary>
    public void BeginStop()
    {
        _stop = true;
        _work.Set();
    }

    /// <summary>
    /// Unbinds the port and waits for the thread to end; what it is doing it finishes. Not from its own thread.
    /// </summary>
    public void Dispose()
    {
        _guest.Events.UnbindBackend(Port);
        BeginStop();
        if (_started)
        {
            _thread.Join();
        }
    }
}
