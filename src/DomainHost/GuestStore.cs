using System;
using System.Text;
using Ryokan.Api.Guests;
using Ryokan.DomainBuilder;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor;
using Ryokan.XenStore;
using Ryokan.XenStore.Transport;

namespace Ryokan.DomainHost;

/// <summary>
/// The domain's xenstore: its nodes, and the ring page that the guest reaches it by. Requests to the guest
/// (shutdown, SysRq) are writes to its control nodes.
/// </summary>
internal sealed class GuestStore : IXenStoreRing, IGuestControl, IDisposable
{
    private GuestFrames? _frames;
    private Domain? _domain;
    private ulong _mfn;
    private uint _port;
    private RingServer? _server;
    private StoreConnection? _tools;
    private DomainTree? _tree;

    public Store Store { get; } = new();

    public Span<byte> Page => _frames!.Span(_mfn);

    public void NoteWritten(int offset, int length) => _frames!.NoteWritten(_frames.IndexOf(_mfn), offset, length);

    public void NotifyGuest() => _domain!.NotifyGuest(_port);

    /// <summary>The guest raised the store's port.</summary>
    public void Wake() => _server?.Signal();

    public void Start(Domain domain, GuestSpec spec, PvImage image, uint storePort, uint consolePort)
    {
        GuestConfig config = spec.Config;
        _domain = domain;
        _frames = domain.Frames;
        _mfn = image.StoreMfn;
        _port = storePort;
        _tools = Store.Connect(0);
        _tree = DomainTree.Create(_tools, new DomainDescription
        {
            Domain = spec.DomainId,
            Name = config.Name,
            Uuid = config.Uuid,
            TargetKiB = (ulong)config.MemoryMiB << 10,
            MaximumKiB = (ulong)config.MaxMemoryMiB << 10,
            Vcpus = config.Vcpus,
            MaximumVcpus = config.MaxVcpus,
            ConsoleMfn = image.ConsoleMfn,
            ConsolePort = consolePort,
            StoreMfn = image.StoreMfn,
            StorePort = storePort,
        });
        _server = new RingServer(Store, spec.DomainId, this);
    }

    public bool RequestShutdown(string reason)
    {
        string feature = reason == "reboot" ? "feature-reboot" : reason == "suspend" ? "feature-suspend" : "feature-poweroff";
        if (!GuestSays("control/" + feature, "1"))
        {
            return false;
        }
        _tree!.RequestShutdown(reason);
        return true;
    }

    public bool RequestSysrq(char key)
    {
        // a guest that has looked at its control nodes has told what it can do there
        if (!GuestSays("control/feature-poweroff", "1"))
        {
            return false;
        }
        _tree!.RequestSysrq(key);
        return true;
    }

    private bool GuestSays(string node, string wanted) =>
        _tools!.Read(0, $"{_tree!.Home}/{node}", out ReadOnlyMemory<byte> value) == StoreError.None
        && Encoding.ASCII.GetString(value.Span) == wanted;

    public void Dispose()
    {
        _server?.Dispose();
        _tools?.Dispose();
    }
}
