using System;
using System.IO;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.DomainBuilder;

/// <summary>Opens the operator's files and turns what can go wrong into one clear line.</summary>
internal static class HostFile
{
    /// <summary>Opens a regular, non-empty file of at most <paramref name="limit"/> bytes.</summary>
    public static SafeFileHandle Open(string key, string path, long limit, out long length)
    {
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            length = RandomAccess.GetLength(handle);
        }
        catch (Exception e) when (
            e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            handle?.Dispose();
            throw new DomainBuildException(key, path, Reason(e));
        }
        if (length == 0 || length > limit)
        {
            handle.Dispose();
            throw new DomainBuildException(key, path,
                length == 0 ? "the file is empty" : $"the file is larger than {limit >> 20} MiB");
        }
        return handle;
    }

    /// <summary>Fills <paramref name="destination"/> from the start of the file.</summary>
    public static void ReadAll(string key, string path, SafeFileHandle handle, Span<byte> destination)
    {
        long offset = 0;
        while (!destination.IsEmpty)
        {
            int n;
            try
            {
                n = RandomAccess.Read(handle, destination, offset);
            }
            catch (IOException e)
            {
                throw new DomainBuildException(key, path, Reason(e));
            }
            if (n == 0)
            {
                throw new DomainBuildException(key, path, "the file became shorter while it was read");
            }
            destination = destination[n..];
            offset += n;
        }
    }

    private static string Reason(Exception e) => e switch
    {
        FileNotFoundException or DirectoryNotFoundException => "no such file",
        UnauthorizedAccessException => "not a readable file (permission denied, or a directory)",
        _ => e.Message,
    };
}
