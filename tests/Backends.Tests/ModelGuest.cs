using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using System.Threading;
using Ryokan.Backends.Xenbus;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Events;
using Ryokan.Hypervisor.Grants;
using Ryokan.Xen.Abi;
using Ryokan.XenStore;
using Xunit;

namespace Ryokan.Backends.Tests;

/// <summary>
/// The guest's half of everything that back ends touch: memory, a grant table, event channels, a connection to
/// the store with the guest's rights. Plays front end, honest or not.
/// </summary>
internal sealed class ModelGuest : IUpcallSink, IDisposable
{
    public const int Domain = 7;
    private const int FirstFreeGrant = 8;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly Store _store = new();
    private readonly StoreConnection _domain0;
    private readonly AutoResetEvent _upcall = new(false);
    private uint _nextGrant = FirstFreeGrant;
    private ulong _nextFrame = 16;

    public ModelGuest(ulong pages = 4096)
    {
        Frames = new GuestFrames(pages, 128);
        ulong sharedInfo = Frames.AllocateSpecial()!.Value;
        Events = new EventChannels(Frames, sharedInfo, 1, Domain, this);
        Grants = new GrantTable(Frames, Domain, maxFrames: 32);
        _domain0 = _store.Connect(0);
        Tree = DomainTree.Create(_domain0, new DomainDescription
        {
            Domain = Domain, Name = "model", Uuid = Guid.NewGuid(), TargetKiB = 1024, MaximumKiB = 1024,
            Vcpus = 1, MaximumVcpus = 1, ConsoleMfn = 1, ConsolePort = 2, StoreMfn = 2, StorePort = 1,
        });
        Guest = _store.Connect(Domain);
        Bus = new DeviceBus(_store, Tree, line =>
        {
            lock (Log)
            {
                Log.Add(line);
            }
        });
    }

    public GuestFrames Frames { get; }

    public EventChannels Events { get; }

    public GrantTable Grants { get; }

    public DomainTree Tree { get; }

    public DeviceBus Bus { get; }

    /// <summary>The store with the guest's rights.</summary>
    public StoreConnection Guest { get; }

    public List<string> Log { get; } = [];

    public GuestAccess Access => new(Domain, Frames, Events, Grants);

    public void Raise(int vcpu) => _upcall.Set();

    public bool WaitForUpcall(int milliseconds) => _upcall.WaitOne(milliseconds);

    /// <summary>The next unused frame.</summary>
    public ulong Page() => _nextFrame < Frames.RamFrames ? _nextFrame++
        : throw new InvalidOperationException("the model guest has no memory left");

    public Span<byte> Bytes(ulong mfn) => Frames.Span(mfn);

    /// <summary>Grants a frame to domain 0; returns the reference.</summary>
    public uint Grant(ulong mfn, bool readOnly = false)
    {
        uint reference = _nextGrant++;
        Cell(reference, 4) = (uint)mfn;
        uint flags = GrantFlags.PermitAccess | (readOnly ? GrantFlags.Readonly : 0u);
        Interlocked.Exchange(ref Cell(reference, 0), flags);
        return reference;
    }

    /// <summary>Takes a grant back; false while the back end holds the frame.</summary>
    public bool Revoke(uint reference)
    {
        uint flags = Volatile.Read(ref Cell(reference, 0));
        return (flags & (GrantFlags.Reading | GrantFlags.Writing)) == 0
            && Interlocked.CompareExchange(ref Cell(reference, 0), 0, flags) == flags;
    }

    private ref uint Cell(uint reference, int offset)
    {
        long index = Frames.IndexOf(Grants.FrameMfn(reference / GrantTable.EntriesPerFrame)!.Value);
        return ref Frames.UInt32At(index, (int)(reference % GrantTable.EntriesPerFrame) * 8 + offset);
    }

    /// <summary>A port that is unbound for domain 0.</summary>
    public uint Port()
    {
        Assert.Equal(0, Events.AllocUnbound(Domid.Self, 0, out uint port));
        return port;
    }

    public void Send(uint port) => Assert.Equal(0, Events.Send(port));

    public string? ReadFront(string type, int id, string name) =>
        Read($"{Tree.FrontendPath(type, id)}/{name}");

    public string? ReadBack(string type, int id, string name) => Read($"{Tree.BackendPath(type, id)}/{name}");

    public string? Read(string path) => Guest.Read(0, path, out ReadOnlyMemory<byte> value) == StoreError.None
        ? Encoding.UTF8.GetString(value.Span) : null;

    public string? ReadAsDomain0(string path) =>
        _domain0.Read(0, path, out ReadOnlyMemory<byte> value) == StoreError.None
            ? Encoding.UTF8.GetString(value.Span) : null;

    public void WriteFront(string type, int id, string name, object value) => Assert.Equal(StoreError.None,
        Guest.Write(0, $"{Tree.FrontendPath(type, id)}/{name}",
            Encoding.UTF8.GetBytes(Convert.ToString(value, CultureInfo.InvariantCulture)!)));

    public void SetState(string type, int id, int state) => WriteFront(type, id, "state", state);

    /// <summary>Waits until the back end shows a state.</summary>
    public void WaitForBackend(string type, int id, int state) => WaitFor(
        () => ReadBack(type, id, "state") == state.ToString(CultureInfo.InvariantCulture),
        () => $"back end is in state {ReadBack(type, id, "state")}, not {state}");

    public static void WaitFor(Func<bool> condition, Func<string> complaint)
    {
        bool met = SpinWait.SpinUntil(condition, s_patience);
        Assert.True(met, met ? "" : complaint());
    }

    public void Dispose()
    {
        Bus.Dispose();
        Guest.Dispose();
        _domain0.Dispose();
        Frames.Dispose();
    }
}
