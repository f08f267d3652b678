using System;
using System.Collections.Generic;
using Ryokan.Storage.Files;
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
                DiskFormat.Raw => new RawDisk(file),
                _ => throw DiskException.Because(
                    path, "this version does not read qcow2 images", DiskException.Enotsup),
            };
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
