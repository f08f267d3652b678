using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Internal snapshots ("Snapshots" in docs/interop/qcow2.txt of QEMU). We neither take nor use them, but
/// what they
/// hold stays as it is.
/// </summary>
internal sealed class SnapshotTable
{
    private const int FixedBytes = 40;

    /// <summary>The L1 tables: offset and number of entries.</summary>
    public List<(ulong Offset, uint Entries)> L1Tables { get; } = [];

    /// <summary>0 when there is no snapshot.</summary>
    public ulong TableBytes { get; }

    /// <summary>Reads the table.</summary>
    /// <exception cref="DiskException">it is damaged, or larger than allowed</exception>
    public SnapshotTable(IImageFile file, Qcow2Header header)
    {
        ulong at = header.SnapshotsOffset, l1Bytes = 0;
        Span<byte> entry = stackalloc byte[FixedBytes];
        for (uint i = 0; i < header.SnapshotCount; i++)
        {
            file.Read(at, entry);
            ulong l1Offset = BinaryPrimitives.ReadUInt64BigEndian(entry);
            uint l1Size = BinaryPrimitives.ReadUInt32BigEndian(entry[8..]);
            ulong idBytes = BinaryPrimitives.ReadUInt16BigEndian(entry[12..]);
            ulong nameBytes = BinaryPrimitives.ReadUInt16BigEndian(entry[14..]);
            ulong extraBytes = BinaryPrimitives.ReadUInt32BigEndian(entry[36..]);
            if (header.Geometry.OffsetInCluster(l1Offset) != 0 || l1Offset >= Limits.FileBytes
                || (l1Offset == 0 && l1Size != 0))
            {
                throw Damage.In(file, $"the L1 table of snapshot {i} is said to be at {l1Offset:x}h");
            }
            L1Tables.Add((l1Offset, l1Size));
            l1Bytes += l1Size * 8UL;
            at += (FixedBytes + extraBytes + idBytes + nameBytes + 7) & ~7UL;
            TableBytes = at - header.SnapshotsOffset;
            if (TableBytes > Limits.SnapshotTableBytes || l1Bytes > Limits.SnapshotL1Bytes)
            {
                throw Damage.In(
                    file, $"its snapshots take more than {Limits.SnapshotL1Bytes >> 20} MiB of tables");
            }
        }
    }
}
