using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Where each guest cluster is: the active L1 table and its L2 tables. Changes are made in memory;
/// <see cref="Commit"/> writes them. Used under the image's lock.
/// </summary>
internal sealed class ClusterMap
{
    private const ulong Copied = 1UL << 63;

    private readonly IImageFile _file;
    private readonly Qcow2Header _header;
    private readonly Geometry _geometry;
    private readonly MetadataMap? _metadata;
    private readonly ulong _fileBytes;

    /// <summary>As in the file: offset and the bit that says the table is ours alone.</summary>
    public ulong[] L1 { get; private set; }

    public TableCache L2 { get; }

    /// <summary>Entries of L1 that the disk does not have.</summary>
    public SortedSet<int> DirtyEntries { get; } = [];

    /// <summary>L1 as a whole has a new place, which the header on disk does not know.</summary>
    public bool HasMoved { get; set; }

    /// <param name="metadata">null when nothing will be written</param>
    public ClusterMap(IImageFile file, Qcow2Header header, MetadataMap? metadata)
    {
        (_file, _header, _geometry, _metadata) = (file, header, header.Geometry, metadata);
        _fileBytes = file.Length;
        L2 = new TableCache(file, _geometry);
        L1 = ReadTable(file, header.L1Offset, header.L1Size);
        for (int i = 0; i < L1.Length && metadata != null; i++)
        {
            if (L2Offset(i) is var offset and not 0)
            {
                if (offset >= _fileBytes)
                {
                    throw NoTable(i, offset);
                }
                metadata.Add(_geometry.ClusterOf(offset));
            }
        }
    }

    /// <summary>An L1 table as numbers.</summary>
    public static ulong[] ReadTable(IImageFile file, ulong offset, uint entries)
    {
        byte[] bytes = new byte[entries * 8];
        file.Read(offset, bytes);
        ulong[] table = new ulong[entries];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }
        return table;
    }

    /// <summary>Offset of the L2 table that an L1 entry names, or 0.</summary>
    private ulong L2Offset(int index)
    {
        ulong offset = L1[index] & Geometry.OffsetMask;
        if (_geometry.OffsetInCluster(offset) != 0
            || (_metadata == null && offset >= _fileBytes && offset != 0))
        {
            throw NoTable(index, offset);
        }
        return offset;
    }

    private DiskException NoTable(int index, ulong offset) =>
        Damage.In(_file, $"L2 table {index} is said to be at {offset:x}h");

    /// <summary>The entry of a guest cluster.</summary>
    public L2Entry Get(ulong cluster)
    {
        ulong offset = L2Offset((int)(cluster >> _geometry.L2Bits));
        return offset == 0 ? L2Entry.Unallocated : new L2Entry(L2.Get(offset)[IndexInL2(cluster)]);
    }

    /// <summary>The L2 table of a guest cluster, or null when there is none.</summary>
    public MetadataTable? Table(ulong cluster)
    {
        ulong offset = L2Offset((int)(cluster >> _geometry.L2Bits));
        return offset == 0 ? null : L2.Get(offset);
    }

    public int IndexInL2(ulong cluster) => (int)(cluster & ((1UL << _geometry.L2Bits) - 1));

    /// <summary>
    /// The L2 table of a guest cluster, to be changed: a new one where there was none, a copy of one that a
    /// snapshot shares.
    /// </summary>
    /// <param name="cluster">guest cluster</param>
    /// <param name="refcounts">where a new table's cluster comes from</param>
    /// <param name="shared">offset of the table that lost a reference, or 0</param>
    public MetadataTable TableForChange(ulong cluster, Refcounts refcounts, out ulong shared)
    {
        int index = (int)(cluster >> _geometry.L2Bits);
        ulong offset = L2Offset(index);
        shared = 0;
        if (offset != 0 && (L1[index] & Copied) != 0)
        {
            return L2.Get(offset);
        }
        byte[] bytes = offset == 0 ? new byte[_geometry.ClusterBytes] : [.. L2.Get(offset).Bytes];
        ulong fresh = refcounts.Allocate(1).First;
        _metadata!.Add(fresh);
        if (offset != 0)
        {
            _metadata.Remove(new ClusterRange(_geometry.ClusterOf(offset), 1));
            shared = offset;
        }
        MetadataTable table = L2.Add(_geometry.OffsetOf(fresh), bytes);
        L1[index] = table.Offset | Copied;
        DirtyEntries.Add(index);
        return table;
    }

    /// <summary>Makes room for a larger disk.</summary>
    /// <returns>the clusters that the table took before, none if it stays in its place</returns>
    public ClusterRange Grow(ulong diskBytes, Refcounts refcounts)
    {
        ulong entries = _geometry.L1EntriesFor(diskBytes);
        if (entries * 8 > Limits.L1Bytes)
        {
            throw DiskException.Because(
                _file.Path,
                $"cannot become {diskBytes} bytes: too many clusters of {_geometry.ClusterBytes} bytes");
        }
        if (entries <= (ulong)L1.Length)
        {
            _header.Size = diskBytes;
            return default;
        }
        ClusterRange old = new(
            _geometry.ClusterOf(_header.L1Offset), _geometry.ClustersFor((ulong)L1.Length * 8));
        ClusterRange room = new(0, _geometry.ClustersFor(entries * 8));
        room = room with { First = refcounts.AllocateContiguous(room.Count) };
        _metadata!.Add(room);
        _metadata.Remove(old);
        ulong[] larger = new ulong[entries];
        L1.CopyTo(larger, 0);
        L1 = larger;
        _header.L1Offset = _geometry.OffsetOf(room.First);
        _header.L1Size = (uint)entries;
        _header.Size = diskBytes;
        HasMoved = true;
        return old;
    }

    /// <summary>Refuses an entry whose host cluster cannot be what the image says.</summary>
    public void Check(ulong cluster, L2Entry entry, ulong usedBytes)
    {
        ulong host = entry.HostOffset;
        if (_geometry.OffsetInCluster(host) != 0 || host >= usedBytes
            || (_metadata != null && _metadata.Contains(_geometry.ClusterOf(host))))
        {
            throw Damage.In(_file, $"guest cluster {cluster:x}h is said to be at {host:x}h");
        }
    }
}
