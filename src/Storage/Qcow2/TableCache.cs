using System.Collections.Generic;
using System.Linq;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Tables by their place in the file, least recently used out first; what the disk does not have stays. Used
/// under
/// the image's lock.
/// </summary>
internal sealed class TableCache(IImageFile file, Geometry geometry)
{
    private readonly Dictionary<ulong, MetadataTable> _tables = [];
    private readonly int _capacity = int.Max(Limits.CacheTables, Limits.CacheBytes >> geometry.ClusterBits);
    private MetadataTable? _last;
    private long _clock;

    /// <summary>Half of the cache waits to be written: time to do it.</summary>
    public bool IsCrowded => DirtyCount > _capacity / 2;

    public int DirtyCount { get; private set; }

    public IEnumerable<MetadataTable> Dirty => _tables.Values.Where(t => t.IsDirty);

    public MetadataTable Get(ulong offset)
    {
        if (_last is { } last && last.Offset == offset)
        {
            return last;
        }
        if (!_tables.TryGetValue(offset, out MetadataTable? table))
        {
            byte[] bytes = new byte[geometry.ClusterBytes];
            file.Read(offset, bytes);
            table = new MetadataTable(offset, bytes);
            Insert(table);
        }
        table.LastUse = ++_clock;
        return _last = table;
    }

    /// <summary>A table that the disk does not have, in a cluster of its own.</summary>
    public MetadataTable Add(ulong offset, byte[] bytes)
    {
        // The cluster may have been another table's before.
        Forget(offset);
        MetadataTable table = new(offset, bytes) { IsNew = true, LastUse = ++_clock };
        Insert(table);
        MarkDirty(table, 0, bytes.Length);
        return _last = table;
    }

    /// <summary>Its cluster is not a table any more.</summary>
    public void Forget(ulong offset)
    {
        if (_tables.Remove(offset, out MetadataTable? table) && table.IsDirty)
        {
            DirtyCount--;
        }
        _last = null;
    }

    public void Put(MetadataTable table, int index, ulong value)
    {
        DirtyCount += table.IsDirty ? 0 : 1;
        table[index] = value;
    }

    public void MarkDirty(MetadataTable table, int from, int to)
    {
        DirtyCount += table.IsDirty ? 0 : 1;
        table.MarkDirty(from, to);
    }

    public void MarkClean(MetadataTable table)
    {
        DirtyCount -= table.IsDirty ? 1 : 0;
        table.MarkClean();
    }

    private void Insert(MetadataTable table)
    {
        if (_tables.Count >= _capacity)
        {
            // Several at once, so that finding them costs little for each.
            IEnumerable<MetadataTable> idle = _tables.Values.Where(t => !t.IsDirty && !t.IsPinned);
            foreach (MetadataTable oldest in idle.OrderBy(t => t.LastUse).Take(1 + _capacity / 16).ToList())
            {
                _tables.Remove(oldest.Offset);
            }
            _last = null;
        }
        _tables[table.Offset] = table;
    }
}
