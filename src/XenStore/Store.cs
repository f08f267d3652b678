using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.XenStore.Tree;

namespace Ryokan.XenStore;

/// <summary>
/// The store: one tree of nodes with values, permissions and watches, as Xen's xenstored keeps it
/// (docs/misc/xenstore.txt). All work goes through <see cref="StoreConnection"/>s; any thread.
/// </summary>
public sealed class Store
{
    private readonly List<StoreConnection> _connections = [];
    private readonly HashSet<int> _introduced = [0];
    private ulong _generation = 1;
    private uint _transactionId;

    /// <summary>Guards everything in the store and in its connections.</summary>
    internal Lock Lock { get; } = new();

    internal StoreState State { get; private set; } = StoreState.Empty;

    /// <summary>Connects a domain. Domain 0 may do everything and has no quota.</summary>
    /// <param name="home">what relative paths start from; null: the domain's /local/domain/N</param>
    public StoreConnection Connect(
        int domain, IWatchSink? sink = null, StoreQuota? quota = null, string? home = null)
    {
        StoreConnection connection =
            new(this, domain, sink, quota ?? new StoreQuota(), home ?? StorePath.OfDomain(domain));
        lock (Lock)
        {
            _connections.Add(connection);
        }
        return connection;
    }

    internal void Disconnect(StoreConnection connection) => _connections.Remove(connection);

    /// <summary>Makes a domain known (fires @introduceDomain); false when it was.</summary>
    public bool IntroduceDomain(int domain)
    {
        lock (Lock)
        {
            bool added = _introduced.Add(domain);
            if (added)
            {
                FireSpecial(StorePath.IntroduceDomain);
            }
            return added;
        }
    }

    /// <summary>
    /// Forgets a domain (fires @releaseDomain); its nodes stay. False when it was not known.
    /// </summary>
    public bool ReleaseDomain(int domain)
    {
        lock (Lock)
        {
            bool removed = _introduced.Remove(domain);
            if (removed)
            {
                FireSpecial(StorePath.ReleaseDomain);
            }
            return removed;
        }
    }

    public bool IsIntroduced(int domain)
    {
        lock (Lock)
        {
            return _introduced.Contains(domain);
        }
    }

    /// <summary>Nodes that a domain owns.</summary>
    public int CountNodes(int domain)
    {
        lock (Lock)
        {
            return State.NodesOf(domain);
        }
    }

    internal ulong NextGeneration() => ++_generation;

    internal uint NextTransactionId() => ++_transactionId == 0 ? ++_transactionId : _transactionId;

    /// <summary>Puts a new tree in force and fires the watches that its changes concern.</summary>
    internal void Replace(StoreState state, IReadOnlyList<StoreView.Change> changes)
    {
        StoreState before = State;
        State = state;
        HashSet<string> told = new(StringComparer.Ordinal);
        foreach (StoreView.Change change in changes)
        {
            if (!change.IsImplied && told.Add(change.Path))
            {
                Fire(change.Path, before, state);
            }
        }
    }

    /// <summary>
    /// Fires watches at or above the changed node, and, where nodes below it went away, those set exactly on
    /// them. Only who may read the node, as it was or is, learns of it.
    /// </summary>
    private void Fire(string path, StoreState before, StoreState after)
    {
        StoreNode? old = before.Find(path);
        StoreNode? now = after.Find(path);
        foreach (StoreConnection connection in _connections)
        {
            foreach (StoreConnection.Watch watch in connection.Watches)
            {
                if (StorePath.IsAtOrBelow(path, watch.Path))
                {
                    if (connection.MayRead(old) || connection.MayRead(now))
                    {
                        connection.Tell(watch, path);
                    }
                }
                else if (old != null && now == null && StorePath.IsAtOrBelow(watch.Path, path)
                    && connection.MayRead(before.Find(watch.Path)))
                {
                    connection.Tell(watch, watch.Path);
                }
            }
        }
    }

    private void FireSpecial(string name)
    {
        foreach (StoreConnection connection in _connections)
        {
            foreach (StoreConnection.Watch watch in connection.Watches)
            {
                if (connection.IsPrivileged && watch.Path == name)
                {
                    connection.Tell(watch, name);
                }
            }
        }
    }
}
