using System;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Decompression;

/// <summary>LZ4 blocks by way of the system's liblz4 (Debian: liblz4-1, there wherever apt is).</summary>
public static unsafe partial class Lz4
{
    /// <summary>
    /// Decompresses one block; returns the bytes written. The library checks every copy against both
    /// lengths, so a damaged block cannot write outside <paramref name="destination"/>.
    /// </summary>
    /// <exception cref="DecodeException">the block is damaged or larger than the destination</exception>
    public static int DecompressBlock(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        fixed (byte* from = source)
        fixed (byte* to = destination)
        {
            int produced = DecompressSafe(from, to, source.Length, destination.Length);
            return produced >= 0 ? produced : throw new DecodeException("lz4: damaged block");
        }
    }

    [LibraryImport("liblz4.so.1", EntryPoint = "LZ4_decompress_safe")]
    private static partial int DecompressSafe(
        byte* source, byte* destination, int sourceLength, int capacity);
}
