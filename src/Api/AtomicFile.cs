using System;
using System.IO;

namespace Ryokan.Api;

/// <summary>
/// Small files that other processes read: they see the old content or the new, never a part.
/// </summary>
public static class AtomicFile
{
    /// <exception cref="IOException">it cannot be written</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        string temporary = $"{path}.{Environment.ProcessId}.new";
        File.WriteAllBytes(temporary, content);
        File.Move(temporary, path, overwrite: true);
    }
}
