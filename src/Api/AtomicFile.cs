using System;
using System.IO;

namespace Ryokan.Api;

/// <summary>
/// Small files that other processes of their owner read: they see the old content or the new, never a part.
/// </summary>
public static class AtomicFile
{
    /// <exception cref="IOException">it cannot be written</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        string temporary = $"{path}.{Environment.ProcessId}.new";
        FileStreamOptions options = new()
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            // Descriptions of guests hold passwords.
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using (FileStream file = new(temporary, options))
        {
            file.Write(content);
        }
        File.Move(temporary, path, overwrite: true);
    }
}
