using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// A consistent set of metadata changes on its way to disk, in three steps with a flush behind each. A power
/// cut in
/// between leaves at worst clusters that nobody refers to (leaks).
/// <list type="number">
/// <item>what nothing on disk refers to yet: new tables, and reference counts. The flush behind it also
/// carries the
/// guest data that the tables will name.</item>
/// <item>the refcount table's references to new refcount blocks</item>
/// <item>references to new clusters: entries of L2 tables and L1, size and place of L1 in the header</item>
/// </list>
/// Made, settled and taken back under the image's lock; written without it, while the image changes further.
/// </summary>
internal sealed class Batch
{
    private readonly Qcow2Image _image;
    private readonly List<(TableCache Cache, MetadataTable Table, int From, int To)> _tables = [];
    private readonly List<(ulong Offset, byte[] Bytes)> _first = [], _second = [], _third = [];
    private readonly int[] _l1Entries, _refcountEntries;
    private readonly bool _l1Moved, _refcountTableMoved, _headerDirty;
    private readonly List<ClusterRange> _freed;

    public Batch(Qcow2Image image)
    {
        _image = image;
        Geometry geometry = image.Geometry;
        (Qcow2Header header, ClusterMap map, Refcounts refcounts) =
            (image.Header, image.Map, image.Refcounts);
        _l1Entries = [.. map.DirtyEntries];
        _refcountEntries = [.. refcounts.DirtyEntries];
        (_l1Moved, _refcountTableMoved, _headerDirty) =
            (map.HasMoved, refcounts.HasMoved, image.HeaderIsDirty);
        map.DirtyEntries.Clear();
        refcounts.DirtyEntries.Clear();
        map.HasMoved = refcounts.HasMoved = image.HeaderIsDirty = false;
        refcounts.Replaced.ForEach(image.Freed.Add);
        refcounts.Replaced.Clear();
        _freed = image.Freed.TakePending();
        TakeTables(refcounts.Blocks);
        TakeTables(map.L2);
        TakeRefcountTable(header, refcounts);
        TakeL1(header, map);
        if (!IsEmpty && header.Version >= 3 && !header.IsDirty)
        {
            // Set until the image is closed: whoever opens it after a crash counts again and takes leaks
            // back.
            header.IsDirty = true;
            _first.Insert(0, (Qcow2Header.IncompatibleAt,
                header.Copy(Qcow2Header.IncompatibleAt, Qcow2Header.AutoclearAt + 8)));
        }
    }

    public bool IsEmpty => _first.Count + _second.Count + _third.Count + _freed.Count == 0;

    private void TakeTables(TableCache cache)
    {
        foreach (MetadataTable table in cache.Dirty.OrderBy(t => t.Offset).ToList())
        {
            (int from, int to) = (table.DirtyFrom, table.DirtyTo);
            bool early = cache == _image.Refcounts.Blocks || table.IsNew;
            (early ? _first : _third).Add((table.Offset + (ulong)from, table.Bytes[from..to]));
            _tables.Add((cache, table, from, to));
            cache.MarkClean(table);
            table.IsPinned = true;
        }
    }

    private void TakeRefcountTable(Qcow2Header header, Refcounts refcounts)
    {
        if (_refcountTableMoved)
        {
            _first.Add((header.RefcountTableOffset, BigEndian(refcounts.Table)));
            _second.Add((Qcow2Header.RefcountTableAt,
                header.Copy(Qcow2Header.RefcountTableAt, Qcow2Header.RefcountTableAt + 12)));
            return;
        }
        foreach (int i in _refcountEntries)
        {
            _second.Add((header.RefcountTableOffset + (ulong)i * 8, BigEndian([refcounts.Table[i]])));
        }
    }

    private void TakeL1(Qcow2Header header, ClusterMap map)
    {
        if (_l1Moved)
        {
            _first.Add((header.L1Offset, BigEndian(map.L1)));
        }
        else
        {
            foreach (int i in _l1Entries)
            {
                _third.Add((header.L1Offset + (ulong)i * 8, BigEndian([map.L1[i]])));
            }
        }
        if (_l1Moved || _headerDirty)
        {
            _third.Add((Qcow2Header.SizeAt, header.Copy(Qcow2Header.SizeAt, Qcow2Header.RefcountTableAt)));
        }
    }

    private static byte[] BigEndian(ReadOnlySpan<ulong> table)
    {
        byte[] bytes = new byte[table.Length * 8];
        for (int i = 0; i < table.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table[i]);
        }
        return bytes;
    }

    /// <summary>Brings it all to disk, data of finished requests too.</summary>
    public void Write()
    {
        Write(_first);
        _image.File.Sync();
        foreach (List<(ulong, byte[])> step in (ReadOnlySpan<List<(ulong, byte[])>>)[_second, _third])
        {
            if (step.Count > 0)
            {
                Write(step);
                _image.File.Sync();
            }
        }
    }

    private void Write(List<(ulong Offset, byte[] Bytes)> step)
    {
        foreach ((ulong offset, byte[] bytes) in step)
        {
            _image.File.Write(offset, bytes);
        }
    }

    /// <summary>It is on disk.</summary>
    public void Settle()
    {
        foreach ((_, MetadataTable table, _, _) in _tables)
        {
            table.IsPinned = table.IsNew = false;
        }
        _image.Freed.Await(_image.Epochs.Current, _freed);
    }

    /// <summary>It may be on disk in part: all of it has to be written again.</summary>
    public void TakeBack()
    {
        foreach ((TableCache cache, MetadataTable table, int from, int to) in _tables)
        {
            table.IsPinned = false;
            cache.MarkDirty(table, from, to);
        }
        _image.Map.DirtyEntries.UnionWith(_l1Entries);
        _image.Refcounts.DirtyEntries.UnionWith(_refcountEntries);
        _image.Map.HasMoved |= _l1Moved;
        _image.Refcounts.HasMoved |= _refcountTableMoved;
        _image.HeaderIsDirty |= _headerDirty;
        _image.Freed.PutBack(_freed);
        if (_image.Header.IsDirty)
        {
            // The bit may not have arrived: the next batch sets it again.
            _image.Header.IsDirty = false;
        }
    }
}
