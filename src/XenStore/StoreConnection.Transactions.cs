using System;
using System.Collections.Generic;
using Ryokan.XenStore.Tree;

namespace Ryokan.XenStore;

/// <summary>Transactions and watches of a connection.</summary>
public sealed partial class StoreConnection
{
    /// <summary>Starts a transaction: a view of the store as it is now.</summary>
    public StoreError StartTransaction(out uint id)
    {
        lock (_store.Lock)
        {
            id = 0;
            if (!IsPrivileged && _transactions.Count >= _quota.Transactions)
            {
                return StoreError.ENOSPC;
            }
            do
            {
                id = _store.NextTransactionId();
            }
            while (!_transactions.TryAdd(id, new StoreView(_store.State, isTransaction: true)));
            return StoreError.None;
        }
    }

    /// <summary>
    /// Ends a transaction. EAGAIN: something it looked at was changed meanwhile, nothing was done; ENOENT: no
    /// such transaction; ENOSPC: the domain would own too many nodes.
    /// </summary>
    public StoreError EndTransaction(uint id, bool commit)
    {
        lock (_store.Lock)
        {
            if (!_transactions.Remove(id, out StoreView? view))
            {
                return StoreError.ENOENT;
            }
            if (!commit)
            {
                return StoreError.None;
            }
            if (view.Rebase(_store.State, _store.NextGeneration) is not { } state)
            {
                return StoreError.EAGAIN;
            }
            int owned = state.NodesOf(Domain);
            if (!IsPrivileged && owned > _quota.Nodes && owned > _store.State.NodesOf(Domain))
            {
                return StoreError.ENOSPC;
            }
            _store.Replace(state, view.Changes);
            return StoreError.None;
        }
    }

    /// <summary>
    /// Watches a node and all below it, existing or not, or one of the special names. It fires once at once:
    /// <paramref name="beforeFirst"/> runs before that (the reply to the request).
    /// </summary>
    public StoreError AddWatch(string path, string token, Action? beforeFirst = null)
    {
        bool relative = !path.StartsWith('/') && !path.StartsWith('@');
        string absolute = StorePath.Resolve(path, _home);
        if (!StorePath.IsNode(absolute) && !StorePath.IsSpecial(absolute))
        {
            return StoreError.EINVAL;
        }
        Watch watch = new(absolute, token, relative);
        lock (_store.Lock)
        {
            if (_watches.Contains(watch))
            {
                return StoreError.EEXIST;
            }
            if (!IsPrivileged && _watches.Count >= _quota.Watches)
            {
                return StoreError.ENOSPC;
            }
            _watches.Add(watch);
            beforeFirst?.Invoke();
            Tell(watch, absolute);
            return StoreError.None;
        }
    }

    /// <summary>ENOENT: there is no such watch.</summary>
    public StoreError RemoveWatch(string path, string token)
    {
        string absolute = StorePath.Resolve(path, _home);
        if (!StorePath.IsNode(absolute) && !StorePath.IsSpecial(absolute))
        {
            return StoreError.EINVAL;
        }
        lock (_store.Lock)
        {
            int index = _watches.FindIndex(w => w.Path == absolute && w.Token == token);
            if (index < 0)
            {
                return StoreError.ENOENT;
            }
            _watches.RemoveAt(index);
            return StoreError.None;
        }
    }

    /// <summary>Removes all watches and forgets all transactions.</summary>
    public void ResetWatches()
    {
        lock (_store.Lock)
        {
            _watches.Clear();
            _transactions.Clear();
        }
    }

    /// <summary>Watches of the connection (for reports).</summary>
    public IReadOnlyList<(string Path, string Token)> ListWatches()
    {
        lock (_store.Lock)
        {
            return _watches.ConvertAll(w => (w.Path, w.Token));
        }
    }
}
