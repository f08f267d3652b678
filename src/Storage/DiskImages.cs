using System;
using Ryokan.Storage.Files;
using Ryokan.Storage.Qcow2;
using Ryokan.Storage.Raw;

namespace Ryokan.Storage;

/// <summary>How a disk is laid out in a host file; the names of xl-disk-configuration(5).</summary>
public enum DiskFormat
{
    /// <summary>Byte n of the disk is byte n of the file or block device.</summary>
    Raw,

    /// <summary>QEMU's copy-on-write format, versions 2 and 3.</summary>
    Qcow2,
}

/// <summary>Opens disk images.</summary>
public static class DiskImages
{
    /// <summary>The names that <see cref="TryParseFormat"/> knows, for messages.</summary>
    public const string FormatNames = "raw, qcow2";

    /// <summary>A format by the name that xl.cfg gives it.</summary>
    public static bool TryParseFormat(string name, out DiskFormat format)
    {
        format = name == "qcow2" ? DiskFormat.Qcow2 : DiskFormat.Raw;
        return name is "raw" or "qcow2";
    }

    /// <summary>
    /// Opens an image for one guest. While it is open for writing nobody else can open it; while it is open
    /// for reading others can only read. The locks are QEMU's, so qemu-img and QEMU keep out too.
    /// </summary>
    /// <param name="path">a file or block device</param>
    /// <param name="format">what it holds: never guessed, because a guest can write any header to a raw
    /// disk</param>
    /// <param name="readOnly">the image is not changed in any way, not even repaired</param>
    /// <exception cref="DiskException">it cannot be opened, is in use (EAGAIN) or damaged</exception>
    public static IDisk Open(string path, DiskFormat format, bool readOnly)
    {
        ImageFile file = ImageFile.Open(path, writable: !readOnly);
        try
        {
            return format switch
            {
                DiskFormat.Qcow2 => Qcow2Opener.Open(file),
                _ => new RawDisk(file),
            };
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Makes a new image that reads as zeroes, or as its backing file, and takes next to no
    /// room.</summary>
    /// <param name="path">must not exist</param>
    /// <param name="format">of the new image</param>
    /// <param name="bytes">size of the disk; null for that of the backing file</param>
    /// <param name="backing">for qcow2: what it shows until it is written, and its format; or null</param>
    /// <exception cref="DiskException">it cannot be made; nothing is left then</exception>
    public static void Create(
        string path, DiskFormat format, ulong? bytes, (string Path, DiskFormat Format)? backing = null)
    {
        if (backing is { } file)
        {
            string beside = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
            using IDisk disk = Open(
                System.IO.Path.GetFullPath(file.Path, beside), file.Format, readOnly: true);
            bytes ??= disk.SizeBytes;
        }
        ulong size = DiskRange.CheckNew(path, bytes);
        ImageFile image = ImageFile.Create(path);
        try
        {
            using (image)
            {
                if (format == DiskFormat.Qcow2)
                {
                    Qcow2Creator.Write(image, size, backing);
                }
                else
                {
                    image.SetLength(size);
                }
                image.Sync();
            }
        }
        catch
        {
            System.IO.File.Delete(path);
            throw;
        }
    }

    /// <summary>Size of the disk in an image, whoever uses it at the moment.</summary>
    /// <exception cref="DiskException">it is no such image</exception>
    public static ulong SizeOf(string path, DiskFormat format)
    {
        using ImageFile file = ImageFile.OpenUnlocked(path);
        return DiskRange.RoundUpToSector(
            format == DiskFormat.Qcow2 ? new Qcow2Header(file).Size : file.Length);
    }

    /// <summary>Room that an image's file takes on the host; less than its length when it has
    /// holes.</summary>
    public static ulong UsedBytes(string path)
    {
        using ImageFile file = ImageFile.OpenUnlocked(path);
        return file.AllocatedBytes;
    }

    /// <summary>Copies what a file holds, holes left out, into a disk that reads as zeroes.</summary>
    /// <param name="path">of the file</param>
    /// <param name="target">large enough from <paramref name="offset"/> on</param>
    /// <param name="offset">where the file's first byte goes</param>
    public static void CopyData(string path, IDisk target, ulong offset)
    {
        const int ChunkBytes = 1 << 20;
        byte[] chunk = new byte[ChunkBytes];
        using ImageFile file = ImageFile.Open(path, writable: false);
        ulong length = file.Length;
        for (ulong at = file.NextData(0); at < length;)
        {
            ulong end = ulong.Min(file.NextHole(at), length);
            while (at < end)
            {
                Span<byte> part = chunk.AsSpan(0, (int)ulong.Min(end - at, ChunkBytes));
                file.Read(at, part);
                target.Write(offset + at, part);
                at += (ulong)part.Length;
            }
            at = file.NextData(at);
        }
    }
}
