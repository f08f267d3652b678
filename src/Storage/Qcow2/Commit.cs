using System.Collections.Generic;
using System.Threading;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Makes what was written durable: guest data and the tables that lead to it. Callers that come while one
/// commit runs
/// share the next.
/// </summary>
internal sealed class Commit(Qcow2Image image)
{
    /// <summary>Counts are given up in pieces, so that requests get the lock in between.</summary>
    private const ulong ReleaseClusters = 1024;

    private readonly Lock _turn = new();
    private long _requested, _done;

    /// <summary>Returns when everything is durable that was written before the call.</summary>
    public void Run()
    {
        long ticket = Interlocked.Increment(ref _requested);
        lock (_turn)
        {
            if (_done >= ticket)
            {
                return;
            }
            long covered = Volatile.Read(ref _requested);
            RunOnce();
            _done = covered;
        }
    }

    private void RunOnce()
    {
        Batch batch;
        lock (image.Lock)
        {
            image.ThrowIfDamaged();
            batch = new Batch(image);
        }
        try
        {
            batch.Write();
        }
        catch
        {
            lock (image.Lock)
            {
                batch.TakeBack();
            }
            throw;
        }
        List<ClusterRange> unused;
        lock (image.Lock)
        {
            batch.Settle();
            image.Epochs.Advance();
            unused = image.Freed.TakeUnused(image.Epochs);
        }
        try
        {
            unused.ForEach(Release);
        }
        catch (DiskException e) when (e.IsDamage)
        {
            image.NoteDamage(e);
            throw;
        }
    }

    /// <summary>
    /// Gives clusters up. Those whose last reference this is go back to the host first: afterwards they may
    /// be
    /// somebody else's.
    /// </summary>
    private void Release(ClusterRange range)
    {
        for (ulong done = 0; done < range.Count;)
        {
            ulong count = ulong.Min(range.Count - done, ReleaseClusters);
            ReleasePiece(new ClusterRange(range.First + done, count));
            done += count;
        }
    }

    private void ReleasePiece(ClusterRange piece)
    {
        List<ClusterRange> last = [];
        lock (image.Lock)
        {
            for (ulong i = 0; i < piece.Count; i++)
            {
                ulong cluster = piece.First + i;
                if (image.Refcounts.Get(cluster) != 1)
                {
                    continue;
                }
                if (last.Count > 0 && last[^1] is var run && run.First + run.Count == cluster)
                {
                    last[^1] = run with { Count = run.Count + 1 };
                }
                else
                {
                    last.Add(new ClusterRange(cluster, 1));
                }
            }
        }
        foreach (ClusterRange run in last)
        {
            image.File.Discard(image.Geometry.OffsetOf(run.First), image.Geometry.OffsetOf(run.Count));
        }
        lock (image.Lock)
        {
            for (ulong i = 0; i < piece.Count; i++)
            {
                image.Refcounts.Release(piece.First + i);
            }
        }
    }
}
