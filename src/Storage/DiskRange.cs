using System;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.Storage;

/// <summary>Checks of requests, the same for all formats.</summary>
internal static class DiskRange
{
    public const uint SectorBytes = 512;

    public static ulong RoundUpToSector(ulong bytes) => (bytes + SectorBytes - 1) & ~(ulong)(SectorBytes - 1);

    public static ulong Total(ReadOnlySpan<IoVector> pieces)
    {
        ulong total = 0;
        foreach (IoVector piece in pieces)
        {
            total = checked(total + piece.Length);
        }
        return total;
    }

    public static void Check(IDisk disk, string path, ulong offset, ulong length)
    {
        ulong size = disk.SizeBytes;
        if (offset > size || length > size - offset)
        {
            throw DiskException.Because(
                path, $"a request for {length} bytes at {offset} is not inside the disk of {size} bytes");
        }
    }

    public static void CheckWrite(IDisk disk, string path, ulong offset, ulong length)
    {
        CheckWritable(disk, path);
        Check(disk, path, offset, length);
    }

    public static void CheckResize(IDisk disk, string path, ulong bytes)
    {
        CheckWritable(disk, path);
        if (bytes < disk.SizeBytes)
        {
            throw DiskException.Because(
                path, $"cannot become smaller ({disk.SizeBytes} to {bytes} bytes): its end would be lost");
        }
        if (bytes % SectorBytes != 0 || bytes > long.MaxValue)
        {
            throw DiskException.Because(
                path, $"cannot become {bytes} bytes: not a multiple of {SectorBytes}");
        }
    }

    /// <summary>The size of a disk that is to be made, or a refusal.</summary>
    public static ulong CheckNew(string path, ulong? bytes)
    {
        if (bytes is { } size && size % SectorBytes == 0 && size <= long.MaxValue)
        {
            return size;
        }
        throw DiskException.Because(path, bytes == null ? "cannot be made: no size was given"
            : $"cannot be made with {bytes} bytes: not a multiple of {SectorBytes}");
    }

    private static void CheckWritable(IDisk disk, string path)
    {
        if (disk.IsReadOnly)
        {
            throw DiskException.Because(path, "is open for reading only", DiskException.Erofs);
        }
    }
}
