using System;
using System.IO;
using Ryokan.Api.Guests;
using Ryokan.DomainBuilder;
using Ryokan.Hypervisor;
using Ryokan.XenStore;
using Ryokan.XenStore.Transport;

namespace Ryokan.DomainHost.Xenstore;

/// <summary>
/// A domain's xenstore: the tree with what a toolstack tells the guest, served on the guest's ring and, for
/// tools of the host, on a unix socket.
/// </summary>
internal sealed class GuestStore : IGuestControl, IDisposable
{
    private const ulong KiBPerMiB = 1024;

    private readonly Store _store = new();
    private readonly StoreConnection _domain0;
    private readonly RingServer _server;
    private readonly DomainTree _tree;
    private readonly SocketServer? _socket;

    /// <param name="spec">what the tree says about the domain</param>
    /// <param name="domain">whose ring is served</param>
    /// <param name="image">where the rings are</param>
    /// <param name="ports">event ports of store and console</param>
    /// <param name="socketPath">where host tools connect, or null</param>
    public GuestStore(
        GuestSpec spec, Domain domain, PvImage image, (uint Store, uint Console) ports, string? socketPath)
    {
        GuestConfig config = spec.Config;
        _domain0 = _store.Connect(0);
        _tree = DomainTree.Create(_domain0, new DomainDescription
        {
            Domain = spec.DomainId,
            Name = config.Name,
            Uuid = config.Uuid,
            TargetKiB = (ulong)config.MemoryMiB * KiBPerMiB,
            MaximumKiB = (ulong)config.MaxMemoryMiB * KiBPerMiB,
            Vcpus = config.Vcpus,
            MaximumVcpus = config.MaxVcpus,
            ConsoleMfn = image.ConsoleMfn,
            ConsolePort = ports.Console,
            StoreMfn = image.StoreMfn,
            StorePort = ports.Store,
        });
        StoreRing ring = new(domain.Frames, image.StoreMfn, () => domain.NotifyGuest(ports.Store));
        _server = new RingServer(_store, spec.DomainId, ring);
        _socket = socketPath == null ? null : OpenSocket(socketPath);
    }

    private SocketServer? OpenSocket(string path)
    {
        try
        {
            return new SocketServer(_store, path);
        }
        catch (IOException e)
        {
            // Tools of the host cannot look into the store; the guest does not mind.
            System.Console.Error.WriteLine(e.Message);
            return null;
        }
    }

    /// <summary>The store itself, for back ends.</summary>
    public Store Store => _store;

    /// <summary>The domain's nodes.</summary>
    public DomainTree Tree => _tree;

    /// <summary>The guest raised the store's event port. Any thread; only wakes.</summary>
    public void Wake() => _server.Signal();

    public bool RequestShutdown(string reason)
    {
        if (!Watches("control/shutdown"))
        {
            return false;
        }
        _tree.RequestShutdown(reason);
        return true;
    }

    public bool RequestSysrq(char key)
    {
        if (!Watches("control/sysrq"))
        {
            return false;
        }
        _tree.RequestSysrq(key);
        return true;
    }

    public void SetMemoryTarget(ulong kib) => _tree.SetMemoryTarget(kib);

    public void SetMemoryMaximum(ulong kib) => _tree.SetMemoryMaximum(kib);

    public void SetVcpuAvailability(int vcpu, bool online) => _tree.SetVcpuAvailability(vcpu, online);

    /// <summary>A guest that does not watch the node would never see the request.</summary>
    private bool Watches(string path)
    {
        foreach ((string watched, _) in _server.Ring.Session.Connection.ListWatches())
        {
            if (watched == path || watched == $"{_tree.Home}/{path}")
            {
                return true;
            }
        }
        return false;
    }

    public void Dispose()
    {
        _server.Dispose();
        _socket?.DisposeAsync().AsTask().Wait();
        _domain0.Dispose();
    }
}
