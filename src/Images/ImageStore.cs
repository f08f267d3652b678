using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Ryokan.Storage;

namespace Ryokan.Images;

/// <summary>An image of the store.</summary>
/// <param name="SizeBytes">of the disk in it</param>
/// <param name="UsedBytes">room that its file takes on the host</param>
public sealed record ImageInfo(
    string Name, string Path, DiskFormat Format, ulong SizeBytes, ulong UsedBytes, DateTime Changed);

/// <summary>The folder of images that were built on this host: NAME.qcow2 or NAME.img.</summary>
public sealed class ImageStore(string folder)
{
    private const string RawExtension = ".img", Qcow2Extension = ".qcow2";

    public string Folder { get; } = folder;

    public string PathOf(string name, DiskFormat format) =>
        Path.Combine(Folder, name + (format == DiskFormat.Qcow2 ? Qcow2Extension : RawExtension));

    /// <summary>Why a text cannot be an image's name, or null.</summary>
    public static string? NameError(string name)
    {
        const int MaxLength = 64;
        if (name.Length is 0 or > MaxLength)
        {
            return $"a name has 1 to {MaxLength} characters";
        }
        bool fits = name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '+')
            && name[0] is not ('.' or '-');
        return fits ? null : "letters, digits and - _ . + make a name, which does not start with . or -";
    }

    /// <summary>All images, by name. One that cannot be read at the moment has a size of 0.</summary>
    public IReadOnlyList<ImageInfo> List()
    {
        if (!Directory.Exists(Folder))
        {
            return [];
        }
        return [.. Directory.EnumerateFiles(Folder)
            .Where(path => Path.GetExtension(path) is RawExtension or Qcow2Extension)
            .Select(Describe).OrderBy(image => image.Name, StringComparer.Ordinal)];
    }

    private static ImageInfo Describe(string path)
    {
        DiskFormat format = Path.GetExtension(path) == Qcow2Extension ? DiskFormat.Qcow2 : DiskFormat.Raw;
        ulong size = 0;
        try
        {
            size = DiskImages.SizeOf(path, format);
        }
        catch (DiskException)
        {
            // Its line says what can be said.
        }
        return new ImageInfo(Path.GetFileNameWithoutExtension(path), path, format, size,
            DiskImages.UsedBytes(path), File.GetLastWriteTimeUtc(path));
    }

    /// <summary>Removes an image that nobody uses.</summary>
    /// <exception cref="ImageException">there is none, or it is in use</exception>
    public void Remove(string name)
    {
        ImageInfo image = List().FirstOrDefault(i => i.Name == name)
            ?? throw new ImageException($"there is no image '{name}'; 'xm image list' shows them");
        try
        {
            // Whoever has it open for writing keeps us out, and so does a guest that reads it.
            DiskImages.Open(image.Path, DiskFormat.Raw, readOnly: false).Dispose();
            File.Delete(image.Path);
        }
        catch (Exception e) when (e is DiskException or IOException or UnauthorizedAccessException)
        {
            throw new ImageException(e.Message);
        }
    }
}
