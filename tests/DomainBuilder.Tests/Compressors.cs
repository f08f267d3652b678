using System;
using System.Buffers.Binary;
using System.IO;
using System.IO.Compression;
using System.Runtime.InteropServices;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>
/// Makes kernel payloads of every served kind with the same libraries that distributions use.
/// </summary>
internal static unsafe partial class Compressors
{
    private const int Lz4BlockBytes = 8 << 20;

    /// <summary>The payload with its 4-byte length at the end, as the kernel's build makes it.</summary>
    public static byte[] Payload(string codec, byte[] image) => codec switch
    {
        // gzip's own trailer is the length already.
        "gzip" => Gzip(image),
        "xz" => WithLength(Xz(image), image.Length),
        "zstd" => WithLength(Zstd(image), image.Length),
        "lz4" => WithLength(Lz4Legacy(image), image.Length),
        _ => throw new ArgumentException(codec),
    };

    public static byte[] Gzip(byte[] data)
    {
        using MemoryStream result = new();
        using (GZipStream gzip = new(result, CompressionLevel.Fastest))
        {
            gzip.Write(data);
        }
        return result.ToArray();
    }

    public static byte[] WithLength(byte[] stream, int length)
    {
        byte[] result = new byte[stream.Length + 4];
        stream.CopyTo(result, 0);
        BinaryPrimitives.WriteInt32LittleEndian(result.AsSpan(stream.Length), length);
        return result;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct LzmaFilter
    {
        public ulong Id;
        public void* Options;
    }

    /// <summary>x86 BCJ in front of LZMA2 with a CRC32, as scripts/xz_wrap.sh of Linux asks for.</summary>
    public static byte[] Xz(byte[] data)
    {
        byte* options = stackalloc byte[512];
        Assert(LzmaPreset(options, 0) == 0);
        LzmaFilter* filters = stackalloc LzmaFilter[3];
        filters[0] = new LzmaFilter { Id = 4 /* LZMA_FILTER_X86 */ };
        filters[1] = new LzmaFilter { Id = 0x21 /* LZMA_FILTER_LZMA2 */, Options = options };
        filters[2] = new LzmaFilter { Id = ulong.MaxValue };
        byte[] result = new byte[data.Length + (data.Length >> 2) + 4096];
        nuint position = 0;
        fixed (byte* from = data)
        fixed (byte* to = result)
        {
            const int crc32 = 1;
            int status = LzmaEncode(filters, crc32, null, from, (nuint)data.Length, to, &position,
                (nuint)result.Length);
            Assert(status == 0);
        }
        return result[..(int)position];
    }

    public static byte[] Zstd(byte[] data)
    {
        byte[] result = new byte[data.Length + (data.Length >> 2) + 4096];
        fixed (byte* from = data)
        fixed (byte* to = result)
        {
            nuint n = ZstdCompress(to, (nuint)result.Length, from, (nuint)data.Length, 1);
            Assert(n < (nuint)result.Length);
            return result[..(int)n];
        }
    }

    public static byte[] Lz4Legacy(byte[] data)
    {
        using MemoryStream result = new();
        result.Write([0x02, 0x21, 0x4c, 0x18]);
        byte[] block = new byte[Lz4BlockBytes + (Lz4BlockBytes >> 3)];
        byte[] size = new byte[4];
        for (int offset = 0; offset < data.Length; offset += Lz4BlockBytes)
        {
            int length = Math.Min(Lz4BlockBytes, data.Length - offset);
            fixed (byte* from = data)
            fixed (byte* to = block)
            {
                int n = Lz4Compress(from + offset, to, length, block.Length);
                Assert(n > 0);
                BinaryPrimitives.WriteInt32LittleEndian(size, n);
                result.Write(size);
                result.Write(block, 0, n);
            }
        }
        return result.ToArray();
    }

    private static void Assert(bool good)
    {
        if (!good)
        {
            throw new InvalidOperationException("the compressor refused");
        }
    }

    [LibraryImport("liblzma.so.5", EntryPoint = "lzma_lzma_preset")]
    private static partial byte LzmaPreset(void* options, uint preset);

    [LibraryImport("liblzma.so.5", EntryPoint = "lzma_stream_buffer_encode")]
    private static partial int LzmaEncode(
        LzmaFilter* filters, int check, void* allocator, byte* source, nuint length,
        byte* target, nuint* position, nuint capacity);

    [LibraryImport("libzstd.so.1", EntryPoint = "ZSTD_compress")]
    private static partial nuint ZstdCompress(
        byte* target, nuint capacity, byte* source, nuint length, int level);

    [LibraryImport("liblz4.so.1", EntryPoint = "LZ4_compress_default")]
    private static partial int Lz4Compress(byte* source, byte* target, int length, int capacity);
}
