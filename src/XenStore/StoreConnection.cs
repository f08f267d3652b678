using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using Ryokan.XenStore.Tree;
using Ryokan.Xen.Abi;

namespace Ryokan.XenStore;

/// <summary>
/// What one domain does with the store: the operations of the wire protocol as typed calls, with the
/// domain's permissions, quota, watches and transactions. Paths may be relative to the domain's home.
/// A transaction of 0 is none. Any thread.
/// </summary>
public sealed partial class StoreConnection : IDisposable
{
    /// <summary>A watch; <paramref name="Relative"/>: events give paths relative to the home.</summary>
    internal readonly record struct Watch(string Path, string Token, bool Relative);

    private readonly Store _store;
    private readonly IWatchSink? _sink;
    private readonly StoreQuota _quota;
    private readonly string _home;
    private readonly Dictionary<uint, StoreView> _transactions = [];
    private readonly List<Watch> _watches = [];

    internal StoreConnection(Store store, int domain, IWatchSink? sink, StoreQuota quota, string home)
    {
        _store = store;
        _sink = sink;
        _quota = quota;
        _home = home;
        Domain = domain;
    }

    public int Domain { get; }

    /// <summary>Domain 0: no permission checks and no quota.</summary>
    public bool IsPrivileged => Domain == 0;

    public Store Store => _store;

    internal StoreQuota Quota => _quota;

    internal IReadOnlyList<Watch> Watches => _watches;

    /// <summary>The value of a node.</summary>
    public StoreError Read(uint transaction, string path, out ReadOnlyMemory<byte> value)
    {
        lock (_store.Lock)
        {
            StoreError error = Get(transaction, path, StoreAccess.Read, out _, out _, out StoreNode? node);
            value = node?.Value ?? default;
            return error;
        }
    }

    /// <summary>Names of a node's children, and the generation of that list.</summary>
    public StoreError Directory(
        uint transaction, string path, out IReadOnlyList<string> names, out ulong generation)
    {
        lock (_store.Lock)
        {
            StoreError error = Get(
                transaction, path, StoreAccess.Read, out StoreView? view, out string absolute,
                out StoreNode? node);
            if (node != null)
            {
                view!.NoteChildren(absolute);
            }
            names = node == null ? [] : [.. node.Children.Keys];
            generation = node?.ChildGeneration ?? 0;
            return error;
        }
    }

    public StoreError GetPermissions(
        uint transaction, string path, out ImmutableArray<StorePermission> permissions)
    {
        lock (_store.Lock)
        {
            StoreError error = Get(transaction, path, StoreAccess.Read, out _, out _, out StoreNode? node);
            permissions = node?.Permissions ?? [];
            return error;
        }
    }

    /// <summary>
    /// Sets a value; the node and missing parents are made, with the permissions of the nearest parent.
    /// </summary>
    public StoreError Write(uint transaction, string path, ReadOnlySpan<byte> value)
    {
        if (!IsPrivileged && value.Length > _quota.ValueBytes)
        {
            return StoreError.ENOSPC;
        }
        return Put(transaction, path, value.ToArray());
    }

    /// <summary>Makes a node with no value; an existing one stays as it is.</summary>
    public StoreError Mkdir(uint transaction, string path) => Put(transaction, path, null);

    private StoreError Put(uint transaction, string path, byte[]? value)
    {
        lock (_store.Lock)
        {
            StoreError error = Get(
                transaction, path, StoreAccess.Write, out StoreView? view, out string absolute,
                out StoreNode? node);
            if (error == StoreError.ENOENT && view != null && absolute.Length > 0)
            {
                error = Create(view, absolute, value);
            }
            else if (error == StoreError.None && value != null)
            {
                view!.Set(absolute, value, node!.Permissions, _store.NextGeneration());
            }
            return Finish(transaction, view, error);
        }
    }

    private StoreError Create(StoreView view, string path, byte[]? value)
    {
        (string at, StoreNode parent) = view.State.Nearest(path);
        view.NoteNode(at);
        ImmutableArray<StorePermission> permissions = parent.Permissions;
        if (!IsPrivileged)
        {
            // A guest owns what it makes.
            permissions = permissions.SetItem(0, permissions[0] with { Domain = Domain });
        }
        List<string> missing = [];
        for (string p = path; p != at; p = StorePath.Parent(p)!)
        {
            missing.Add(p);
        }
        int owned = view.State.NodesOf(Domain);
        if (!IsPrivileged && owned + missing.Count > _quota.Nodes)
        {
            return StoreError.ENOSPC;
        }
        for (int i = missing.Count - 1; i >= 0; i--)
        {
            bool implied = i > 0;
            view.Set(missing[i], implied ? null : value, permissions, _store.NextGeneration(), implied);
        }
        return StoreError.None;
    }

    /// <summary>Removes a node and all below it; fine when only its parent exists.</summary>
    public StoreError Remove(uint transaction, string path)
    {
        lock (_store.Lock)
        {
            StoreError error = Get(
                transaction, path, StoreAccess.Write, out StoreView? view, out string absolute, out _);
            if (absolute == "/")
            {
                return StoreError.EINVAL;
            }
            if (error == StoreError.ENOENT && view != null && absolute.Length > 0
                && view.State.Find(StorePath.Parent(absolute)!) != null)
            {
                return StoreError.None;
            }
            if (error == StoreError.None)
            {
                view!.Remove(absolute, _store.NextGeneration());
            }
            return Finish(transaction, view, error);
        }
    }

    /// <summary>Sets permissions; only the owner may, and only domain 0 may give the node away.</summary>
    public StoreError SetPermissions(
        uint transaction, string path, ImmutableArray<StorePermission> permissions)
    {
        if (permissions.IsDefaultOrEmpty)
        {
            return StoreError.EINVAL;
        }
        if (!IsPrivileged && permissions.Length > _quota.Permissions)
        {
            return StoreError.ENOSPC;
        }
        lock (_store.Lock)
        {
            StoreError error = Get(
                transaction, path, StoreAccess.Write | StoreAccess.Owner, out StoreView? view,
                out string absolute, out StoreNode? node);
            if (error == StoreError.None && !IsPrivileged && permissions[0].Domain != node!.Owner)
            {
                error = StoreError.EPERM;
            }
            if (error == StoreError.None)
            {
                view!.Set(absolute, node!.Value, permissions, _store.NextGeneration());
            }
            return Finish(transaction, view, error);
        }
    }

    /// <summary>Drops watches and transactions; nodes stay.</summary>
    public void Dispose()
    {
        lock (_store.Lock)
        {
            ResetWatches();
            _store.Disconnect(this);
        }
    }

    internal bool MayRead(StoreNode? node) =>
        node != null && (node.AccessFor(Domain, IsPrivileged) & StoreAccess.Read) != 0;

    internal void Tell(Watch watch, string path)
    {
        string prefix = _home + "/";
        bool strip = watch.Relative && path.StartsWith(prefix, StringComparison.Ordinal);
        _sink?.Fired(strip ? path[prefix.Length..] : path, watch.Token);
    }

    /// <summary>
    /// Finds a node and checks that the connection may do that with it. ENOENT is told only to who may do it
    /// with the nearest existing parent; others learn nothing but EACCES. <paramref name="absolute"/> is
    /// empty when nothing was looked at.
    /// </summary>
    private StoreError Get(
        uint transaction, string path, StoreAccess wanted, out StoreView? view, out string absolute,
        out StoreNode? node)
    {
        node = null;
        absolute = "";
        view = transaction == 0 ? new StoreView(_store.State, isTransaction: false)
            : _transactions.GetValueOrDefault(transaction);
        if (view == null)
        {
            return StoreError.ENOENT;
        }
        string resolved = StorePath.Resolve(path, _home);
        if (!StorePath.IsNode(resolved) || (!path.StartsWith('/') && path.Length > XenStoreLimits.RelPathMax))
        {
            return StoreError.EINVAL;
        }
        absolute = resolved;
        if (!IsPrivileged && view.Footprint >= _quota.TransactionNodes)
        {
            absolute = "";
            return StoreError.ENOSPC;
        }
        view.NoteNode(absolute);
        (string at, StoreNode nearest) = view.State.Nearest(absolute);
        if ((nearest.AccessFor(Domain, IsPrivileged) & wanted) != wanted)
        {
            return StoreError.EACCES;
        }
        if (at.Length != absolute.Length)
        {
            return StoreError.ENOENT;
        }
        node = nearest;
        return StoreError.None;
    }

    /// <summary>Outside a transaction the change takes effect now.</summary>
    private StoreError Finish(uint transaction, StoreView? view, StoreError error)
    {
        if (error == StoreError.None && transaction == 0 && view!.Changes.Count > 0)
        {
            _store.Replace(view.State, view.Changes);
        }
        return error;
    }
}
