using System.Collections.Generic;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// References to clusters that the tables in memory do not hold any more. One is given up in three steps:
/// the tables
/// on disk must not hold it either, then every request that may have looked it up before must have ended,
/// then the
/// count goes down. Used under the image's lock.
/// </summary>
internal sealed class FreedClusters
{
    private List<ClusterRange> _pending = [];
    private readonly Queue<(int Epoch, List<ClusterRange> Ranges)> _waiting = [];

    public bool IsEmpty => _pending.Count == 0 && _waiting.Count == 0;

    public bool HasPending => _pending.Count > 0;

    public void Add(ClusterRange range)
    {
        if (_pending.Count > 0 && _pending[^1] is var last && last.First + last.Count == range.First)
        {
            _pending[^1] = last with { Count = last.Count + range.Count };
        }
        else if (range.Count > 0)
        {
            _pending.Add(range);
        }
    }

    /// <summary>Those given up since the last call; tables that lack them are about to be written.</summary>
    public List<ClusterRange> TakePending()
    {
        List<ClusterRange> taken = _pending;
        _pending = [];
        return taken;
    }

    /// <summary>The tables could not be written.</summary>
    public void PutBack(List<ClusterRange> taken) => _pending.InsertRange(0, taken);

    /// <summary>The tables are on disk; requests of this epoch may still use the clusters.</summary>
    public void Await(int epoch, List<ClusterRange> taken)
    {
        if (taken.Count > 0)
        {
            _waiting.Enqueue((epoch, taken));
        }
    }

    /// <summary>Those that nobody uses any more.</summary>
    public List<ClusterRange> TakeUnused(Epochs epochs)
    {
        List<ClusterRange> unused = [];
        while (_waiting.TryPeek(out (int Epoch, List<ClusterRange> Ranges) first)
            && epochs.HasEnded(first.Epoch))
        {
            unused.AddRange(_waiting.Dequeue().Ranges);
        }
        return unused;
    }
}
