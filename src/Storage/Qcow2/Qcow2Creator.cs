using System;
using System.Buffers.Binary;
using System.Text;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Writes a new image: version 3, clusters of 64 KiB, reference counts of 16 bits, as qemu-img does by
/// default.
/// Header, refcount table, one refcount block and L1 lie in this order.
/// </summary>
internal static class Qcow2Creator
{
    private static readonly Geometry s_geometry = new(ClusterBits: 16, RefcountOrder: 4);

    /// <param name="file">empty</param>
    /// <param name="bytes">size of the disk</param>
    /// <param name="backing">name as it is to be found from the image's folder, and format; or null</param>
    public static void Write(IImageFile file, ulong bytes, (string Path, DiskFormat Format)? backing)
    {
        const ulong RefcountTable = 1, RefcountBlock = 2, L1 = 3;
        ulong l1Entries = ulong.Max(1, s_geometry.L1EntriesFor(bytes));
        if (l1Entries * 8 > Limits.L1Bytes)
        {
            throw DiskException.Because(file.Path, $"a qcow2 image cannot hold {bytes} bytes");
        }
        ulong used = L1 + s_geometry.ClustersFor(l1Entries * 8);
        byte[] block = new byte[s_geometry.ClusterBytes];
        for (int i = 0; i < (int)used; i++)
        {
            RefcountBits.Set(block, s_geometry.RefcountOrder, i, 1);
        }
        file.SetLength(s_geometry.OffsetOf(used));
        file.Write(s_geometry.OffsetOf(RefcountBlock), block);
        byte[] entry = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(entry, s_geometry.OffsetOf(RefcountBlock));
        file.Write(s_geometry.OffsetOf(RefcountTable), entry);
        file.Write(0, Header(file, bytes, (uint)l1Entries, s_geometry.OffsetOf(L1), backing));
    }

    private static byte[] Header(
        IImageFile file, ulong bytes, uint l1Entries, ulong l1Offset,
        (string Path, DiskFormat Format)? backing)
    {
        const uint Version = 3, BackingFormat = 0xe2792aca;
        byte[] header = new byte[4096];
        void Put32(int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(at), value);
        void Put64(int at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(at), value);
        Put32(0, Qcow2Header.Magic);
        Put32(4, Version);
        Put32(20, (uint)s_geometry.ClusterBits);
        Put64(Qcow2Header.SizeAt, bytes);
        Put32(Qcow2Header.L1SizeAt, l1Entries);
        Put64(Qcow2Header.L1OffsetAt, l1Offset);
        Put64(Qcow2Header.RefcountTableAt, (ulong)s_geometry.ClusterBytes);
        Put32(Qcow2Header.RefcountTableAt + 8, 1);
        Put32(96, (uint)s_geometry.RefcountOrder);
        Put32(100, Qcow2Header.V3Bytes);
        if (backing is { } to)
        {
            byte[] name = Encoding.UTF8.GetBytes(to.Path);
            if (name.Length is 0 or > Limits.BackingNameBytes)
            {
                throw DiskException.Because(file.Path,
                    $"the name of its backing file has {name.Length} bytes; "
                    + $"possible are 1 to {Limits.BackingNameBytes}");
            }
            byte[] format = Encoding.UTF8.GetBytes(to.Format == DiskFormat.Qcow2 ? "qcow2" : "raw");
            Put32(Qcow2Header.V3Bytes, BackingFormat);
            Put32(Qcow2Header.V3Bytes + 4, (uint)format.Length);
            format.CopyTo(header, Qcow2Header.V3Bytes + 8);
            // One extension of at most 8 bytes, and the end of them all.
            const int NameAt = Qcow2Header.V3Bytes + 8 + 8 + 8;
            Put64(8, NameAt);
            Put32(16, (uint)name.Length);
            name.CopyTo(header, NameAt);
        }
        return header;
    }
}
