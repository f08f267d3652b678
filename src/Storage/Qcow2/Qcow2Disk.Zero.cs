using System;

namespace Ryokan.Storage.Qcow2;

internal sealed partial class Qcow2Disk
{
    private static readonly byte[] s_zeroes = new byte[64 << 10];

    /// <summary>
    /// A cluster that shows zeroes over a backing file has a mark for it from version 3 on.
    /// </summary>
    private bool CanHideBacking => _backing == null || _image.Header.Version >= 3;

    public void WriteZeroes(ulong offset, ulong length)
    {
        DiskRange.CheckWrite(this, _file.Path, offset, length);
        BeforeChange();
        if (!CanHideBacking)
        {
            WriteZeroBytes(offset, length);
            return;
        }
        (ClusterRange whole, ulong head, ulong tail) = Split(offset, length);
        WriteZeroBytes(offset, head);
        Unmap(whole);
        WriteZeroBytes(offset + length - tail, tail);
    }

    public void Discard(ulong offset, ulong length)
    {
        DiskRange.CheckWrite(this, _file.Path, offset, length);
        if (CanHideBacking)
        {
            BeforeChange();
            Unmap(Split(offset, length).Whole);
        }
    }

    /// <summary>
    /// The whole clusters in a range, and the bytes before and behind; a last cluster that the disk's end
    /// cuts is
    /// whole.
    /// </summary>
    private (ClusterRange Whole, ulong Head, ulong Tail) Split(ulong offset, ulong length)
    {
        ulong end = offset + length;
        ulong first = _geometry.ClustersFor(offset);
        ulong last = end == SizeBytes ? _geometry.ClustersFor(end) : _geometry.ClusterOf(end);
        if (first >= last)
        {
            return (default, length, 0);
        }
        ulong head = _geometry.OffsetOf(first) - offset;
        ulong tail = end - ulong.Min(end, _geometry.OffsetOf(last));
        return (new ClusterRange(first, last - first), head, tail);
    }

    private void WriteZeroBytes(ulong offset, ulong length)
    {
        while (length > 0)
        {
            ulong step = ulong.Min(length, (ulong)s_zeroes.Length);
            if (!ReadsAsZero(offset, offset + step))
            {
                Write(offset, s_zeroes.AsSpan(0, (int)step));
            }
            offset += step;
            length -= step;
        }
    }

    /// <summary>These guest clusters read as zeroes and take no room.</summary>
    private void Unmap(ClusterRange range)
    {
        while (range.Count > 0)
        {
            CommitIfCrowded();
            ulong inTable = (ulong)(_geometry.L2Entries - _image.Map.IndexInL2(range.First));
            ulong count = ulong.Min(range.Count, inTable);
            try
            {
                lock (_image.Lock)
                {
                    AwaitClaims(new ClusterRange(range.First, count));
                    _image.ThrowIfDamaged();
                    UnmapInTable(range.First, (int)count);
                }
            }
            catch (DiskException e) when (e.IsDamage)
            {
                _image.NoteDamage(e);
                throw;
            }
            range = new ClusterRange(range.First + count, range.Count - count);
        }
    }

    private void UnmapInTable(ulong first, int count)
    {
        L2Entry wanted = _backing != null ? L2Entry.Zero : L2Entry.Unallocated;
        MetadataTable? table = _image.Map.Table(first);
        if (table == null && wanted == L2Entry.Unallocated)
        {
            return;
        }
        int index = _image.Map.IndexInL2(first);
        for (int i = 0; i < count; i++)
        {
            L2Entry old = table == null ? L2Entry.Unallocated : new L2Entry(table[index + i]);
            if (old == wanted || (old.Kind == ClusterKind.Zero && old.HostOffset == 0))
            {
                continue;
            }
            CheckGivenUp(first + (ulong)i, old);
            table = TableForChange(first + (ulong)i);
            GiveUp(old);
            _image.Map.L2.Put(table, index + i, wanted.Raw);
        }
    }
}
