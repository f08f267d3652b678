using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Which clusters of the file are in use: the refcount table, its blocks, and the allocation of clusters.
/// All of it
/// changes in memory first; <see cref="Commit"/> writes it. Used under the image's lock.
/// </summary>
internal sealed class Refcounts
{
    private readonly IImageFile _file;
    private readonly Qcow2Header _header;
    private readonly Geometry _geometry;
    private readonly MetadataMap _metadata;
    private readonly FileEnd _end;

    /// <summary>No cluster below is free, as far as we know.</summary>
    private ulong _firstMaybeFree = 1;

    /// <summary>Offsets of the refcount blocks, 0 for none; as long as the table in the file.</summary>
    public ulong[] Table { get; private set; }

    public TableCache Blocks { get; }

    /// <summary>Entries of the table that the disk does not have.</summary>
    public SortedSet<int> DirtyEntries { get; } = [];

    /// <summary>The table as a whole has a new place, which the header on disk does not know.</summary>
    public bool HasMoved { get; set; }

    /// <summary>Clusters of tables that were replaced: free once the header on disk names the new
    /// one.</summary>
    public List<ClusterRange> Replaced { get; } = [];

    public Refcounts(IImageFile file, Qcow2Header header, MetadataMap metadata, FileEnd end)
    {
        (_file, _header, _geometry, _metadata, _end) = (file, header, header.Geometry, metadata, end);
        Blocks = new TableCache(file, _geometry);
        byte[] bytes = new byte[(int)header.RefcountTableClusters << _geometry.ClusterBits];
        file.Read(header.RefcountTableOffset, bytes);
        Table = new ulong[bytes.Length / 8];
        for (int i = 0; i < Table.Length; i++)
        {
            Table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
            if (Table[i] != 0)
            {
                metadata.Add(CheckedBlock(i));
            }
        }
    }

    private ulong CheckedBlock(int index)
    {
        ulong offset = Table[index];
        if (_geometry.OffsetInCluster(offset) != 0 || offset >= _end.UsedBytes)
        {
            throw Damage.In(_file, $"refcount block {index} is said to be at {offset:x}h");
        }
        return _geometry.ClusterOf(offset);
    }

    public ulong Get(ulong cluster)
    {
        ulong index = cluster >> _geometry.RefcountBlockBits;
        if (index >= (ulong)Table.Length || Table[index] == 0)
        {
            return 0;
        }
        MetadataTable block = Blocks.Get(Table[index]);
        return RefcountBits.Get(block.Bytes, _geometry.RefcountOrder, EntryOf(cluster));
    }

    /// <summary>One reference less.</summary>
    public void Release(ulong cluster)
    {
        ulong count = Get(cluster);
        if (count == 0)
        {
            throw Damage.In(_file, $"cluster {cluster:x}h was in use but its reference count is 0");
        }
        Set(cluster, count - 1);
        if (count == 1)
        {
            _firstMaybeFree = ulong.Min(_firstMaybeFree, cluster);
        }
    }

    /// <summary>
    /// Takes up to <paramref name="most"/> free clusters in a row, at least one; their count becomes 1.
    /// </summary>
    /// <returns>the first; how many; whether they are known to read as zeroes</returns>
    /// <exception cref="DiskException">ENOSPC, or the image is damaged</exception>
    public (ulong First, ulong Count, bool IsFresh) Allocate(ulong most)
    {
        ulong first = NextFree(_firstMaybeFree);
        bool fresh = first >= _end.FreshFrom;
        ulong count = 1;
        while (count < most && (fresh || first + count < _end.FreshFrom) && HasBlockAndIsFree(first + count))
        {
            count++;
        }
        Take(first, count);
        return (first, count, fresh);
    }

    /// <summary>Takes exactly so many free clusters in a row.</summary>
    public ulong AllocateContiguous(ulong count)
    {
        ulong first = NextFree(_firstMaybeFree);
        for (ulong have = 0; have < count;)
        {
            ulong next = NextFree(first + have);
            (first, have) = next == first + have ? (first, have + 1) : (next, 1);
        }
        ulong hint = _firstMaybeFree;
        Take(first, count);
        _firstMaybeFree = first == hint ? first + count : hint;
        return first;
    }

    private void Take(ulong first, ulong count)
    {
        for (ulong i = 0; i < count; i++)
        {
            if (_metadata.Contains(first + i))
            {
                throw Damage.In(_file, $"cluster {first + i:x}h holds metadata but its reference count is 0");
            }
        }
        _end.Reach(first + count);
        for (ulong i = 0; i < count; i++)
        {
            Set(first + i, 1);
        }
        _firstMaybeFree = first + count;
    }

    private bool HasBlockAndIsFree(ulong cluster)
    {
        ulong index = cluster >> _geometry.RefcountBlockBits;
        return index < (ulong)Table.Length && Table[index] != 0 && Get(cluster) == 0;
    }

    /// <summary>The first free cluster at or after one, in a region that has a refcount block: makes one if
    /// need be.</summary>
    private ulong NextFree(ulong cluster)
    {
        while (true)
        {
            ulong index = cluster >> _geometry.RefcountBlockBits;
            if (index >= (ulong)Table.Length)
            {
                GrowTable(cluster);
                continue;
            }
            if (Table[index] == 0)
            {
                AddBlock(index, cluster);
                cluster++;
                continue;
            }
            if (FreeInBlock(index, EntryOf(cluster)) is { } entry)
            {
                return (index << _geometry.RefcountBlockBits) + (ulong)entry;
            }
            cluster = (index + 1) << _geometry.RefcountBlockBits;
        }
    }

    private int? FreeInBlock(ulong index, int from)
    {
        byte[] block = Blocks.Get(Table[index]).Bytes;
        int entries = (int)_geometry.RefcountBlockEntries;
        for (int i = from; i < entries; i++)
        {
            if (RefcountBits.Get(block, _geometry.RefcountOrder, i) == 0)
            {
                return i;
            }
        }
        return null;
    }

    /// <summary>A block for a region without one, kept in <paramref name="cluster"/>, which it counts
    /// itself.</summary>
    private void AddBlock(ulong index, ulong cluster)
    {
        if (_metadata.Contains(cluster))
        {
            throw Damage.In(_file, $"cluster {cluster:x}h holds metadata but has no reference count");
        }
        _end.Reach(cluster + 1);
        _metadata.Add(cluster);
        Blocks.Add(_geometry.OffsetOf(cluster), new byte[_geometry.ClusterBytes]);
        Table[index] = _geometry.OffsetOf(cluster);
        DirtyEntries.Add((int)index);
        Set(cluster, 1);
    }

    /// <summary>
    /// A larger table, in clusters behind all that the old one covers, so that blocks for it are its own
    /// first ones.
    /// </summary>
    private void GrowTable(ulong cluster)
    {
        ulong covered = (ulong)Table.Length << _geometry.RefcountBlockBits;
        ulong entriesWanted = ulong.Max(
            (ulong)Table.Length * 3 / 2, (cluster >> _geometry.RefcountBlockBits) + 1);
        ulong clusters = 0, blocks = 0;
        // The new blocks and the new table are themselves counted by the new blocks.
        for (ulong needed = 1; needed > blocks;)
        {
            blocks = needed;
            clusters = _geometry.ClustersFor(8 * ulong.Max(entriesWanted, (ulong)Table.Length + blocks));
            needed = (clusters + blocks + _geometry.RefcountBlockEntries - 1) >> _geometry.RefcountBlockBits;
        }
        if (_geometry.OffsetOf(clusters) > Limits.RefcountTableBytes)
        {
            throw DiskException.Because(_file.Path, "the image is as large as its refcount table can become",
                DiskException.Enospc);
        }
        _end.Reach(covered + blocks + clusters);
        ulong[] table = new ulong[_geometry.OffsetOf(clusters) / 8];
        Table.CopyTo(table, 0);
        ClusterRange old = new(
            _geometry.ClusterOf(_header.RefcountTableOffset), _header.RefcountTableClusters);
        Replaced.Add(old);
        _metadata.Remove(old);
        ulong firstIndex = (ulong)Table.Length;
        Table = table;
        for (ulong i = 0; i < blocks; i++)
        {
            AddBlock(firstIndex + i, covered + i);
        }
        for (ulong i = 0; i < clusters; i++)
        {
            Set(covered + blocks + i, 1);
            _metadata.Add(covered + blocks + i);
        }
        _header.RefcountTableOffset = _geometry.OffsetOf(covered + blocks);
        _header.RefcountTableClusters = (uint)clusters;
        HasMoved = true;
    }

    private void Set(ulong cluster, ulong count)
    {
        MetadataTable block = Blocks.Get(Table[cluster >> _geometry.RefcountBlockBits]);
        (int from, int to) = RefcountBits.Set(block.Bytes, _geometry.RefcountOrder, EntryOf(cluster), count);
        Blocks.MarkDirty(block, from, to);
    }

    private int EntryOf(ulong cluster) => (int)(cluster & (_geometry.RefcountBlockEntries - 1));
}
