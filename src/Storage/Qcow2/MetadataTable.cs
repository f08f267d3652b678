using System;
using System.Buffers.Binary;

namespace Ryokan.Storage.Qcow2;

/// <summary>An L2 table or refcount block in memory: one cluster, and which part of it the disk does not
/// have.</summary>
internal sealed class MetadataTable(ulong offset, byte[] bytes)
{
    /// <summary>Where it is, or will be, in the file.</summary>
    public ulong Offset { get; } = offset;

    public byte[] Bytes { get; } = bytes;

    /// <summary>[DirtyFrom, DirtyTo) differs from the disk.</summary>
    public int DirtyFrom { get; private set; } = int.MaxValue;

    public int DirtyTo { get; private set; }

    public bool IsDirty => DirtyFrom < DirtyTo;

    /// <summary>Nothing on disk refers to it yet: it may be written before what it refers to.</summary>
    public bool IsNew { get; set; }

    /// <summary>Being written: must not be read again from disk.</summary>
    public bool IsPinned { get; set; }

    public long LastUse { get; set; }

    public ulong this[int index]
    {
        get => BinaryPrimitives.ReadUInt64BigEndian(Bytes.AsSpan(index * 8));
        set
        {
            BinaryPrimitives.WriteUInt64BigEndian(Bytes.AsSpan(index * 8), value);
            MarkDirty(index * 8, index * 8 + 8);
        }
    }

    public void MarkDirty(int from, int to)
    {
        DirtyFrom = Math.Min(DirtyFrom, from);
        DirtyTo = Math.Max(DirtyTo, to);
    }

    public void MarkClean()
    {
        DirtyFrom = int.MaxValue;
        DirtyTo = 0;
    }
}
