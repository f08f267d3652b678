using System;
using System.Threading;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.Storage.Qcow2;

internal sealed partial class Qcow2Disk
{
    /// <summary>How the next part of a write is done.</summary>
    /// <param name="HostOffset">where its first byte goes</param>
    /// <param name="Length">in bytes, of the request</param>
    /// <param name="Claim">guest clusters that get a new place; none when it is written in place</param>
    /// <param name="IsFresh">the new place reads as zeroes</param>
    /// <param name="IsReserved">the new place was the guest cluster's own before</param>
    private readonly record struct WritePlan(
        ulong HostOffset, ulong Length, ClusterRange Claim, bool IsFresh, bool IsReserved);

    public void Write(ulong offset, ReadOnlySpan<byte> source) => IoVectors.Pin(
        source, (this, offset), static (piece, to) => to.Item1.Write(to.offset, [piece]));

    public void Write(ulong offset, ReadOnlySpan<IoVector> source)
    {
        ulong length = DiskRange.Total(source);
        DiskRange.CheckWrite(this, _file.Path, offset, length);
        BeforeChange();
        Span<IoVector> room = source.Length <= StackPieces
            ? stackalloc IoVector[StackPieces] : new IoVector[source.Length];
        for (ulong done = 0; done < length;)
        {
            CommitIfCrowded();
            int epoch = _image.Epochs.Enter();
            try
            {
                WritePlan plan = PlanWrite(offset + done, length - done);
                ReadOnlySpan<IoVector> part = plan.Length == length ? source
                    : IoVectors.Slice(source, done, plan.Length, room);
                if (plan.Claim.Count == 0)
                {
                    _file.Write(plan.HostOffset, part);
                }
                else
                {
                    WriteElsewhere(plan, offset + done, part);
                }
                done += plan.Length;
            }
            catch (DiskException e) when (e.IsDamage)
            {
                _image.NoteDamage(e);
                throw;
            }
            finally
            {
                _image.Epochs.Exit(epoch);
            }
        }
    }

    /// <summary>Before the first change: bitmaps and the like, which we do not keep up to date, are declared
    /// stale.</summary>
    private void BeforeChange()
    {
        if (Volatile.Read(ref _autoclearDone))
        {
            return;
        }
        lock (_image.Lock)
        {
            if (!_autoclearDone && _image.Header.AutoclearFeatures != 0)
            {
                _image.Header.AutoclearFeatures = 0;
                _image.WriteFeatures();
            }
            Volatile.Write(ref _autoclearDone, true);
        }
    }

    private void CommitIfCrowded()
    {
        if (_image.Map.L2.IsCrowded || _image.Refcounts.Blocks.IsCrowded)
        {
            _commit.Run();
        }
    }

    private WritePlan PlanWrite(ulong offset, ulong most)
    {
        ulong cluster = _geometry.ClusterOf(offset), into = _geometry.OffsetInCluster(offset);
        lock (_image.Lock)
        {
            AwaitClaims(new ClusterRange(cluster, 1));
            _image.ThrowIfDamaged();
            MetadataTable? table = _image.Map.Table(cluster);
            int index = _image.Map.IndexInL2(cluster);
            most = ulong.Min(most, Limits.WriteRunBytes);
            most = ulong.Min(most, ((ulong)(_geometry.L2Entries - index) << _geometry.ClusterBits) - into);
            L2Entry first = table == null ? L2Entry.Unallocated : new L2Entry(table[index]);
            ulong clusters = _geometry.ClustersFor(into + most);
            if (IsOurs(first))
            {
                clusters = CountInPlace(table!, index, cluster, first, clusters);
                return new WritePlan(
                    first.HostOffset + into, Part(clusters, into, most), default, false, false);
            }
            if (first is { Kind: ClusterKind.Zero, IsCopied: true } && first.HostOffset != 0)
            {
                _image.Map.Check(cluster, first, _image.UsedBytes);
                return Claim(new ClusterRange(cluster, 1), first.HostOffset, false, true, into, most);
            }
            (ulong place, ulong count, bool fresh) =
                _image.Refcounts.Allocate(CountElsewhere(table, index, cluster, clusters));
            return Claim(
                new ClusterRange(cluster, count), _geometry.OffsetOf(place), fresh, false, into, most);
        }
    }

    private static bool IsOurs(L2Entry entry) => entry is { Kind: ClusterKind.Data, IsCopied: true };

    private WritePlan Claim(
        ClusterRange claim, ulong place, bool isFresh, bool isReserved, ulong into, ulong most)
    {
        _claims.Add(claim);
        return new WritePlan(place + into, Part(claim.Count, into, most), claim, isFresh, isReserved);
    }

    private ulong Part(ulong clusters, ulong into, ulong most) =>
        ulong.Min(most, _geometry.OffsetOf(clusters) - into);

    private ulong CountInPlace(MetadataTable table, int index, ulong cluster, L2Entry first, ulong most)
    {
        _image.Map.Check(cluster, first, _image.UsedBytes);
        ulong count = 1;
        while (count < most && Continues(first, count, new L2Entry(table[index + (int)count]))
            && !IsClaimed(new ClusterRange(cluster + count, 1)))
        {
            _image.Map.Check(cluster + count, new L2Entry(table[index + (int)count]), _image.UsedBytes);
            count++;
        }
        return count;
    }

    /// <summary>Clusters from the first on that all need a new place.</summary>
    private ulong CountElsewhere(MetadataTable? table, int index, ulong cluster, ulong most)
    {
        ulong count = 1;
        while (count < most && !IsClaimed(new ClusterRange(cluster + count, 1))
            && (table == null || NeedsPlace(new L2Entry(table[index + (int)count]))))
        {
            count++;
        }
        return count;
    }

    private static bool NeedsPlace(L2Entry entry) =>
        !IsOurs(entry) && !(entry is { Kind: ClusterKind.Zero, IsCopied: true } && entry.HostOffset != 0);

    private bool IsClaimed(ClusterRange range)
    {
        foreach (ClusterRange claim in _claims)
        {
            if (claim.First < range.First + range.Count && range.First < claim.First + claim.Count)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Waits, giving up the image's lock meanwhile, until nobody moves these guest
    /// clusters.</summary>
    private void AwaitClaims(ClusterRange range)
    {
        while (IsClaimed(range))
        {
            Monitor.Wait(_image.Lock);
        }
    }

    /// <summary>Writes to clusters that are not the guest's yet, then makes them so.</summary>
    private void WriteElsewhere(WritePlan plan, ulong offset, ReadOnlySpan<IoVector> source)
    {
        bool linked = false;
        try
        {
            ulong start = _geometry.OffsetOf(plan.Claim.First);
            ulong end = start + _geometry.OffsetOf(plan.Claim.Count);
            ulong place = plan.HostOffset - (offset - start);
            _file.Write(plan.HostOffset, source);
            Fill(plan, place, start, offset);
            Fill(plan, place + (offset + plan.Length - start), offset + plan.Length, end);
            lock (_image.Lock)
            {
                Link(plan, place);
                linked = true;
            }
        }
        finally
        {
            lock (_image.Lock)
            {
                if (!linked && !plan.IsReserved)
                {
                    Abandon(plan, offset);
                }
                _claims.Remove(plan.Claim);
                Monitor.PulseAll(_image.Lock);
            }
        }
    }

    /// <summary>Gives the rest of a cluster what the guest sees there now: [from, to) of the disk.</summary>
    private void Fill(WritePlan plan, ulong place, ulong from, ulong to)
    {
        if (from == to || (plan.IsFresh && ReadsAsZero(from, to)))
        {
            return;
        }
        byte[] buffer = new byte[to - from];
        // What is behind the end of the disk has to be zero, for the day on which the disk grows.
        ulong size = ulong.Max(SizeBytes, from);
        Read(from, buffer.AsSpan(0, (int)(ulong.Min(to, size) - from)));
        _file.Write(place, buffer);
    }

    private bool ReadsAsZero(ulong from, ulong to)
    {
        while (from < to)
        {
            Extent extent = Find(from, to - from);
            bool zero = extent.Kind == ClusterKind.Zero
                || (extent.Kind == ClusterKind.Unallocated
                    && (_backing == null || from >= _backing.SizeBytes));
            if (!zero)
            {
                return false;
            }
            from += extent.Length;
        }
        return true;
    }

    private void Link(WritePlan plan, ulong place)
    {
        _image.ThrowIfDamaged();
        for (ulong i = 0; i < plan.Claim.Count && !plan.IsReserved; i++)
        {
            // All of them before the first is changed: a plan is carried out whole or not at all.
            CheckGivenUp(plan.Claim.First + i, _image.Map.Get(plan.Claim.First + i));
        }
        for (ulong i = 0; i < plan.Claim.Count; i++)
        {
            MetadataTable table = TableForChange(plan.Claim.First + i);
            int index = _image.Map.IndexInL2(plan.Claim.First + i);
            ulong host = place + _geometry.OffsetOf(i);
            L2Entry old = new(table[index]);
            if (!plan.IsReserved)
            {
                GiveUp(old);
            }
            _image.Map.L2.Put(table, index, L2Entry.Data(host).Raw);
        }
    }

    private MetadataTable TableForChange(ulong cluster)
    {
        MetadataTable table = _image.Map.TableForChange(cluster, _image.Refcounts, out ulong shared);
        if (shared != 0)
        {
            _image.Freed.Add(new ClusterRange(_geometry.ClusterOf(shared), 1));
        }
        return table;
    }

    /// <summary>The clusters of the file that an entry refers to.</summary>
    private ClusterRange PlaceOf(L2Entry entry)
    {
        if (entry.Kind != ClusterKind.Compressed)
        {
            return new ClusterRange(_geometry.ClusterOf(entry.HostOffset), entry.HostOffset == 0 ? 0UL : 1);
        }
        (ulong offset, int length) = entry.CompressedRange(_geometry);
        ulong first = _geometry.ClusterOf(offset), last = _geometry.ClusterOf(offset + (ulong)length - 1);
        return new ClusterRange(first, last - first + 1);
    }

    /// <summary>Refuses an entry that refers to the image's own tables: these are not the guest's to give
    /// up.</summary>
    private void CheckGivenUp(ulong cluster, L2Entry old)
    {
        ClusterRange place = PlaceOf(old);
        for (ulong i = 0; i < place.Count; i++)
        {
            _image.Map.Check(
                cluster, L2Entry.Data(_geometry.OffsetOf(place.First + i)), ulong.Max(_image.UsedBytes, 1));
        }
    }

    /// <summary>An entry was replaced: what it referred to has a reference less.</summary>
    private void GiveUp(L2Entry old)
    {
        _image.Freed.Add(PlaceOf(old));
        if (old.Kind == ClusterKind.Compressed)
        {
            _compressed.Forget();
        }
    }

    /// <summary>The write failed: no table names the new clusters, so they are free again at once.</summary>
    private void Abandon(WritePlan plan, ulong offset)
    {
        ulong place = plan.HostOffset - (offset - _geometry.OffsetOf(plan.Claim.First));
        for (ulong i = 0; i < plan.Claim.Count; i++)
        {
            _image.Refcounts.Release(_geometry.ClusterOf(place) + i);
        }
    }
}
