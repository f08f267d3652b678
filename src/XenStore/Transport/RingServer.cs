using System;
using System.Threading;

namespace Ryokan.XenStore.Transport;

/// <summary>A thread that serves one guest's ring; it sleeps until the guest or the store signals.</summary>
public sealed class RingServer : IDisposable
{
    private readonly AutoResetEvent _signal = new(false);
    private readonly Thread _thread;
    private volatile bool _stopping;

    public RingSession Ring { get; }

    public RingServer(Store store, int domain, IXenStoreRing ring, StoreQuota? quota = null)
    {
        Ring = new RingSession(store, domain, ring, Signal, quota);
        _thread = new Thread(Run) { IsBackground = true, Name = $"xenstore{domain}" };
        _thread.Start();
        Signal();
    }

    /// <summary>The guest raised the store's event port. Any thread; returns at once.</summary>
    public void Signal() => _signal.Set();

    private void Run()
    {
        while (!_stopping)
        {
            _signal.WaitOne();
            while (!_stopping && Ring.Pump())
            {
            }
        }
    }

    public void Dispose()
    {
        _stopping = true;
        Signal();
        _thread.Join();
        Ring.Dispose();
        _signal.Dispose();
    }
}
