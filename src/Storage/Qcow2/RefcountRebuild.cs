using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Counts again what refers to each cluster, from the tables of the disk and of its snapshots, and writes new
/// reference counts into free clusters; the header then changes over to them in one write. A power cut at
/// any moment
/// leaves the old ones or the new ones. For images that were not closed: leaks are taken back, and counts
/// that another
/// program postponed (lazy refcounts) are brought up to date.
/// </summary>
internal sealed class RefcountRebuild
{
    private const ulong Copied = 1UL << 63;

    private readonly IImageFile _file;
    private readonly Qcow2Header _header;
    private readonly Geometry _geometry;
    private readonly uint[] _counts;

    /// <summary>L2 tables and how many L1 entries name each, so that each is read once.</summary>
    private readonly Dictionary<ulong, uint> _l2Tables = [];

    private RefcountRebuild(IImageFile file, Qcow2Header header)
    {
        (_file, _header, _geometry) = (file, header, header.Geometry);
        ulong clusters = _geometry.ClustersFor(file.Length);
        if (clusters > Limits.RecountedClusters)
        {
            throw DiskException.Because(file.Path,
                "was not closed, and is too large to be repaired here: "
                + $"run 'qemu-img check -r all {file.Path}'");
        }
        _counts = new uint[clusters];
    }

    /// <summary>Repairs an image that is open for writing.</summary>
    /// <exception cref="DiskException">its tables contradict each other</exception>
    public static void Run(IImageFile file, Qcow2Header header)
    {
        RefcountRebuild rebuild = new(file, header);
        ulong[] l1 = rebuild.CountAll();
        // What we do not know is not counted, and must not be believed afterwards.
        header.AutoclearFeatures = 0;
        file.Write(Qcow2Header.AutoclearAt,
            header.Copy(Qcow2Header.AutoclearAt, Qcow2Header.AutoclearAt + 8));
        file.Sync();
        rebuild.WriteCounts();
        rebuild.CorrectCopiedBits(l1);
        header.IsDirty = false;
        file.Write(Qcow2Header.IncompatibleAt,
            header.Copy(Qcow2Header.IncompatibleAt, Qcow2Header.AutoclearAt));
        file.Sync();
    }

    private ulong[] CountAll()
    {
        CountClusters(0, 1, 1);
        SnapshotTable snapshots = new(_file, _header);
        CountTable(_header.SnapshotsOffset, snapshots.TableBytes);
        ulong[] active = CountL1(_header.L1Offset, _header.L1Size);
        foreach ((ulong offset, uint entries) in snapshots.L1Tables)
        {
            CountL1(offset, entries);
        }
        byte[] table = new byte[_geometry.ClusterBytes];
        foreach ((ulong offset, uint references) in _l2Tables)
        {
            CountClusters(_geometry.ClusterOf(offset), 1, references);
            _file.Read(offset, table);
            for (int i = 0; i < table.Length; i += 8)
            {
                Count(new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i))), references);
            }
        }
        return active;
    }

    private ulong[] CountL1(ulong offset, uint entries)
    {
        CountTable(offset, entries * 8UL);
        ulong[] table = ClusterMap.ReadTable(_file, offset, entries);
        foreach (ulong entry in table)
        {
            ulong l2 = entry & Geometry.OffsetMask;
            if (l2 != 0)
            {
                _l2Tables[Aligned(l2)] = _l2Tables.GetValueOrDefault(l2) + 1;
            }
        }
        return table;
    }

    private void Count(L2Entry entry, uint references)
    {
        if (entry.Kind == ClusterKind.Compressed)
        {
            (ulong offset, int length) = entry.CompressedRange(_geometry);
            ulong first = _geometry.ClusterOf(offset), last = _geometry.ClusterOf(offset + (ulong)length - 1);
            // The sectors that it names may end behind the file.
            last = ulong.Min(last, ulong.Max(first, (ulong)_counts.Length - 1));
            CountClusters(first, last - first + 1, references);
        }
        else if (entry.HostOffset != 0)
        {
            CountClusters(_geometry.ClusterOf(Aligned(entry.HostOffset)), 1, references);
        }
    }

    private void CountTable(ulong offset, ulong bytes) =>
        CountClusters(_geometry.ClusterOf(offset), _geometry.ClustersFor(bytes), 1);

    private void CountClusters(ulong first, ulong count, uint references)
    {
        ulong clusters = (ulong)_counts.Length;
        if (count > clusters || first > clusters - count)
        {
            throw Damage.In(_file, $"cluster {first:x}h is behind the end of the file");
        }
        for (ulong i = first; i < first + count; i++)
        {
            ulong sum = (ulong)_counts[i] + references;
            if (sum > ulong.Min(_geometry.MaxRefcount, uint.MaxValue))
            {
                throw Damage.In(_file, $"cluster {i:x}h is referred to {sum} times");
            }
            _counts[i] = (uint)sum;
        }
    }

    private ulong Aligned(ulong offset) => _geometry.OffsetInCluster(offset) == 0 ? offset
        : throw Damage.In(_file, $"a table names {offset:x}h, which is no cluster's start");

    /// <summary>The new table and its blocks lie in a row, in the first gap that is large enough.</summary>
    private void WriteCounts()
    {
        (ulong at, ulong blocks, ulong tableClusters) = FindRoom();
        ulong total = ulong.Max((ulong)_counts.Length, at + blocks + tableClusters);
        byte[] block = new byte[_geometry.ClusterBytes];
        byte[] table = new byte[_geometry.OffsetOf(tableClusters)];
        for (ulong b = 0; b < blocks; b++)
        {
            Array.Clear(block);
            for (ulong i = 0; i < _geometry.RefcountBlockEntries; i++)
            {
                ulong cluster = (b << _geometry.RefcountBlockBits) + i;
                bool ours = cluster >= at && cluster < at + blocks + tableClusters;
                ulong count = ours ? 1 : cluster < (ulong)_counts.Length ? _counts[cluster] : 0;
                if (count != 0)
                {
                    RefcountBits.Set(block, _geometry.RefcountOrder, (int)i, count);
                }
            }
            _file.Write(_geometry.OffsetOf(at + b), block);
            BinaryPrimitives.WriteUInt64BigEndian(table.AsSpan((int)b * 8), _geometry.OffsetOf(at + b));
        }
        _file.Write(_geometry.OffsetOf(at + blocks), table);
        if (_file.CanGrow && _file.Length < _geometry.OffsetOf(total))
        {
            _file.SetLength(_geometry.OffsetOf(total));
        }
        _file.Sync();
        _header.RefcountTableOffset = _geometry.OffsetOf(at + blocks);
        _header.RefcountTableClusters = (uint)tableClusters;
        _file.Write(Qcow2Header.RefcountTableAt,
            _header.Copy(Qcow2Header.RefcountTableAt, Qcow2Header.RefcountTableAt + 12));
        _file.Sync();
    }

    private (ulong At, ulong Blocks, ulong TableClusters) FindRoom()
    {
        ulong blocks = 1, tableClusters = 1, at = 0;
        for (ulong covered = 0; covered <= blocks;)
        {
            // Everything that is in use, wherever the new structures end up, has to be counted.
            tableClusters = _geometry.ClustersFor(blocks * 8);
            at = FindGap(blocks + tableClusters);
            ulong total = ulong.Max((ulong)_counts.Length, at + blocks + tableClusters);
            covered = (total + _geometry.RefcountBlockEntries - 1) >> _geometry.RefcountBlockBits;
            if (covered <= blocks)
            {
                break;
            }
            blocks = covered;
        }
        if (_geometry.OffsetOf(tableClusters) > Limits.RefcountTableBytes)
        {
            throw Damage.In(_file, "its reference counts would take more than 8 MiB of table");
        }
        return (at, blocks, tableClusters);
    }

    /// <summary>
    /// The first run of clusters that nothing refers to; neither the old reference counts, which are in
    /// force until the
    /// header changes over.
    /// </summary>
    private ulong FindGap(ulong wanted)
    {
        HashSet<ulong> old = OldCounts();
        ulong start = 1;
        for (ulong i = 1; i < (ulong)_counts.Length; i++)
        {
            if (_counts[i] != 0 || old.Contains(i))
            {
                start = i + 1;
            }
            else if (i + 1 - start == wanted)
            {
                return start;
            }
        }
        // At the end of the file, partly behind it.
        return start;
    }

    private HashSet<ulong> OldCounts()
    {
        HashSet<ulong> clusters = [];
        ulong first = _geometry.ClusterOf(_header.RefcountTableOffset);
        for (ulong i = 0; i < _header.RefcountTableClusters; i++)
        {
            clusters.Add(first + i);
        }
        uint entries = _header.RefcountTableClusters << _geometry.L2Bits;
        foreach (ulong block in ClusterMap.ReadTable(_file, _header.RefcountTableOffset, entries))
        {
            clusters.Add(_geometry.ClusterOf(block));
        }
        return clusters;
    }

    /// <summary>Entries of the active tables say whether a cluster is the guest's alone.</summary>
    private void CorrectCopiedBits(ulong[] l1)
    {
        byte[] table = new byte[_geometry.ClusterBytes];
        for (int i = 0; i < l1.Length; i++)
        {
            ulong offset = l1[i] & Geometry.OffsetMask;
            if (offset == 0)
            {
                continue;
            }
            bool alone = _counts[_geometry.ClusterOf(offset)] == 1;
            if ((l1[i] & Copied) != 0 != alone)
            {
                WriteEntry(_header.L1Offset + (ulong)i * 8, offset | (alone ? Copied : 0));
            }
            _file.Read(offset, table);
            for (int at = 0; at < table.Length; at += 8)
            {
                L2Entry entry = new(BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(at)));
                if (entry.Kind == ClusterKind.Compressed || entry.HostOffset == 0)
                {
                    continue;
                }
                alone = _counts[_geometry.ClusterOf(entry.HostOffset)] == 1;
                if (entry.IsCopied != alone)
                {
                    WriteEntry(offset + (ulong)at, entry.WithCopied(alone).Raw);
                }
            }
        }
        _file.Sync();
    }

    private void WriteEntry(ulong at, ulong entry)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, entry);
        _file.Write(at, bytes);
    }
}
