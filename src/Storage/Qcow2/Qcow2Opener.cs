using System;
using System.IO;
using Ryokan.Storage.Files;
using Ryokan.Storage.Raw;

namespace Ryokan.Storage.Qcow2;

/// <summary>Opens an image and the chain of backing files behind it.</summary>
internal static class Qcow2Opener
{
    /// <summary>Opens an image; the file is the disk's from now on, unless this throws.</summary>
    /// <param name="file">the image's file</param>
    /// <param name="depth">images in front of it in the chain</param>
    public static IDisk Open(IImageFile file, int depth = 0)
    {
        Qcow2Header header = new(file);
        if (header.IsCorrupt && !file.IsReadOnly)
        {
            throw DiskException.Because(file.Path,
                "is marked as damaged: it can be opened for reading only, or "
                + $"repaired with 'qemu-img check -r all {file.Path}'", DiskException.Eio);
        }
        if (header.IsDirty && !file.IsReadOnly)
        {
            RefcountRebuild.Run(file, header);
        }
        Qcow2Image image = new(file, header);
        return new Qcow2Disk(image, OpenBacking(file.Path, header, depth));
    }

    private static IDisk? OpenBacking(string path, Qcow2Header header, int depth)
    {
        if (header.BackingFile is not { } name)
        {
            return null;
        }
        if (depth + 1 >= Limits.BackingDepth)
        {
            throw DiskException.Because(path,
                $"the chain of backing files is longer than {Limits.BackingDepth}, or a circle");
        }
        string backing = Resolve(path, name);
        if (header.BackingFormat is not ("raw" or "qcow2"))
        {
            string what = header.BackingFormat == null ? "does not say which format its backing file has"
                : $"has a backing file of format '{header.BackingFormat}'; known are raw and qcow2";
            // Never guessed: whoever wrote to a raw disk could have made it look like an image of any file.
            throw DiskException.Because(path,
                $"{what} (set it with 'qemu-img rebase -u -b {backing} -F FORMAT {path}')",
                DiskException.Enotsup);
        }
        try
        {
            ImageFile file = ImageFile.Open(backing, writable: false);
            try
            {
                return header.BackingFormat == "raw" ? new RawDisk(file) : Open(file, depth + 1);
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
        catch (DiskException e)
        {
            throw DiskException.Because(path, $"its backing file: {e.Message}", e.Errno);
        }
    }

    /// <summary>A relative name counts from the image's folder.</summary>
    private static string Resolve(string path, string name)
    {
        if (name.StartsWith("file:", StringComparison.Ordinal))
        {
            name = name["file:".Length..];
        }
        int colon = name.IndexOf(':');
        if (colon > 0 && name.IndexOf('/') is var slash && (slash < 0 || colon < slash))
        {
            throw DiskException.Because(path,
                $"its backing file '{name}' is not a file of this host: not supported",
                DiskException.Enotsup);
        }
        return Path.GetFullPath(name, Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
