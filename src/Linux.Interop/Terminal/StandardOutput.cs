using System;
using System.IO;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Terminal;

/// <summary>
/// Writes to stdout with write(2). .NET's own console stream takes a pipe that nobody reads any more for a success, and
/// its file stream keeps a file offset of its own, which stderr in the same file would not share.
/// </summary>
public static unsafe partial class StandardOutput
{
    private const int Fd = 1, Interrupted = 4;

    /// <summary>Writes all of it.</summary>
    /// <exception cref="IOException">it could not be written; the message is the system's</exception>
    public static void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            nint written;
            fixed (byte* from = bytes)
            {
                written = WriteSome(Fd, from, (nuint)bytes.Length);
            }
            if (written >= 0)
            {
                bytes = bytes[(int)written..];
            }
            else if (Marshal.GetLastPInvokeError() is var error && error != Interrupted)
            {
                throw new IOException($"stdout: {Marshal.GetPInvokeErrorMessage(error)}", error);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint WriteSome(int fd, byte* bytes, nuint count);
}
