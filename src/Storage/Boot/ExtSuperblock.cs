using System;
using System.Buffers.Binary;

namespace Ryokan.Storage.Boot;

/// <summary>Tells an ext2, ext3 or ext4 file system by its superblock (Linux:
/// Documentation/filesystems/ext4).</summary>
internal sealed record ExtSuperblock(Guid Uuid)
{
    private const int At = 1024, Bytes = 1024, MagicAt = 0x38, UuidAt = 0x68;
    private const ushort Magic = 0xef53;

    /// <summary>Null when there is no such file system.</summary>
    public static ExtSuperblock? Read(IDisk disk, DiskPart part)
    {
        if (part.Length < At + Bytes)
        {
            return null;
        }
        byte[] block = new byte[Bytes];
        disk.Read(part.Offset + At, block);
        return BinaryPrimitives.ReadUInt16LittleEndian(block.AsSpan(MagicAt)) == Magic
            ? new ExtSuperblock(new Guid(block.AsSpan(UuidAt, 16), bigEndian: true)) : null;
    }
}
