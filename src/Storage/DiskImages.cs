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
    /// <param name="format">what it holds: never guessed, because a guest can write any header to a raw disk</param>
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

    /// <summary>Makes a new image that reads as zeroes, or as its backing file, and takes next to no room.</summary>
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
            using IDisk disk = Open(System.IO.Path.GetFullPath(file.Path, beside), file.Format, readOnly: true);
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
}
