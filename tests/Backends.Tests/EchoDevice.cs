using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.Backends.Rings;
using Ryokan.Backends.Xenbus;

namespace Ryokan.Backends.Tests;

/// <summary>The smallest device: answers each 16-byte request with its complement.</summary>
internal sealed class EchoDevice(GuestAccess guest, int id) : DeviceBackend
{
    private BackRing? _ring;
    private RingWorker? _worker;

    public int Announced, Connected, Disconnected, Disposed;

    public override string Type => "echo";

    public override int Id => id;

    public override IEnumerable<KeyValuePair<string, string>> FrontendNodes => [new("hint", "front")];

    public override IEnumerable<KeyValuePair<string, string>> BackendNodes => [new("hint", "back")];

    public override void Announce(DeviceNodes nodes)
    {
        Announced++;
        nodes.WriteBackend("feature-echo", 1);
    }

    public override void Connect(DeviceNodes nodes)
    {
        uint order = nodes.ReadOptionalNumber("ring-page-order", 4) ?? 0;
        uint[] references = new uint[1 << (int)order];
        for (int i = 0; i < references.Length; i++)
        {
            references[i] = nodes.ReadNumber(order == 0 ? "ring-ref" : $"ring-ref{i}");
        }
        _ring = new BackRing(RingPages.Map(guest, references), 112);
        _worker = new RingWorker(guest, "echo", nodes.ReadNumber("event-channel"), Process, Fail);
        _worker.Start();
        Connected++;
    }

    private void Process()
    {
        do
        {
            while (_ring!.TryTake(out UInt128 request))
            {
                _ring.Put(~request);
            }
            if (_ring.Publish())
            {
                _worker!.NotifyGuest();
            }
        }
        while (!_worker!.IsStopping && _ring.FinalCheck());
    }

    public override void Disconnect()
    {
        Disconnected++;
        _worker?.Dispose();
        _ring?.Dispose();
        (_worker, _ring) = (null, null);
    }

    public override void Dispose()
    {
        Interlocked.Increment(ref Disposed);
        base.Dispose();
    }
}
