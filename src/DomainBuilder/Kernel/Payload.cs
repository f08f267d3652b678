using System;
using System.Buffers.Binary;
using System.IO;
using System.IO.Compression;
using System.Runtime.ExceptionServices;
using System.Threading.Tasks;
using Ryokan.Linux.Interop.Decompression;

namespace Ryokan.DomainBuilder.Kernel;

/// <summary>How a bzImage's payload is compressed; told from its first bytes.</summary>
internal enum PayloadCodec
{
    Gzip, Bzip2, Lzma, Xz, Lzo, Lz4, Zstd, None,
}

/// <summary>
/// Unpacks the ELF file inside a bzImage into a sink, in parallel where the format allows it.
/// </summary>
internal static class Payload
{
    /// <summary>No kernel comes near; keeps a forged length from asking for absurd work.</summary>
    public const long MaxImageBytes = 1 << 30;

    /// <summary>Piece that streaming formats are unpacked in.</summary>
    private const int ChunkBytes = 1 << 20;

    /// <summary>Every block of an lz4 legacy stream but the last unpacks to this.</summary>
    private const int Lz4BlockBytes = 8 << 20;

    public static PayloadCodec Recognise(ReadOnlySpan<byte> start) => start switch
    {
        [0x1f, 0x8b, ..] => PayloadCodec.Gzip,
        [(byte)'B', (byte)'Z', (byte)'h', ..] => PayloadCodec.Bzip2,
        [0x5d, 0, 0, ..] => PayloadCodec.Lzma,
        [0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0, ..] => PayloadCodec.Xz,
        [0x89, (byte)'L', (byte)'Z', (byte)'O', ..] => PayloadCodec.Lzo,
        [0x02, 0x21, 0x4c, 0x18, ..] => PayloadCodec.Lz4,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => PayloadCodec.Zstd,
        _ => PayloadCodec.None,
    };

    /// <summary>
    /// Unpacks <paramref name="payload"/>, whose last four bytes are the uncompressed length.
    /// </summary>
    /// <exception cref="KernelFormatException">damaged, or a codec that is not served</exception>
    public static void Unpack(ReadOnlyMemory<byte> payload, IImageSink sink)
    {
        long length = BinaryPrimitives.ReadUInt32LittleEndian(payload.Span[^4..]);
        PayloadCodec codec = Recognise(payload.Span);
        if (length < 4096 || length > MaxImageBytes)
        {
            throw new KernelFormatException($"corrupt: the payload claims to unpack to {length} bytes");
        }
        try
        {
            switch (codec)
            {
                case PayloadCodec.Lz4:
                    UnpackLz4(payload[..^4], length, sink);
                    break;
                case PayloadCodec.Xz:
                    using (XzDecoder xz = new())
                    {
                        UnpackStream(Feed(xz, payload[..^4]), length, sink);
                    }
                    break;
                case PayloadCodec.Zstd:
                    using (ZstdDecoder zstd = new())
                    {
                        UnpackStream(Feed(zstd, payload[..^4]), length, sink);
                    }
                    break;
                case PayloadCodec.Gzip:
                    using (GzipDecoder gzip = new())
                    {
                        UnpackStream(Feed(gzip, payload), length, sink);
                    }
                    break;
                case PayloadCodec.None:
                    throw new KernelFormatException("corrupt: the payload starts with no known compression");
                default:
                    throw new KernelFormatException(
                        $"the payload is {codec}-compressed; gzip, xz, zstd and lz4 are served");
            }
        }
        catch (DecodeException e)
        {
            throw new KernelFormatException($"corrupt: {e.Message}");
        }
        catch (DllNotFoundException)
        {
            throw new KernelFormatException(
                $"the payload is {codec}-compressed and the host's library for it is missing; "
                + "install liblz4-1, liblzma5, libzstd1 and zlib1g");
        }
    }

    /// <summary>Fills as much of the span as there is; less only at the end of the stream.</summary>
    private delegate int ReadBytes(Span<byte> destination);

    private static ReadBytes Feed(IStreamDecoder decoder, ReadOnlyMemory<byte> input)
    {
        bool finished = false;
        return destination =>
        {
            int total = 0;
            while (!finished && total < destination.Length)
            {
                DecodeStep step = decoder.Decode(input.Span, destination[total..]);
                input = input[step.Consumed..];
                total += step.Produced;
                finished = step.Finished;
                if (!finished && step is { Consumed: 0, Produced: 0 })
                {
                    break;
                }
            }
            return total;
        };
    }

    private static void UnpackStream(ReadBytes read, long length, IImageSink sink)
    {
        byte[] scratch = GC.AllocateUninitializedArray<byte>(ChunkBytes);
        for (long offset = 0; offset < length;)
        {
            int wanted = (int)Math.Min(ChunkBytes, length - offset);
            Span<byte> direct = offset == 0 ? default : sink.Direct(offset, wanted);
            Span<byte> target = direct.IsEmpty ? scratch.AsSpan(0, wanted) : direct;
            ReadFully(read, target, offset);
            if (offset == 0)
            {
                sink.Begin(target, length);
            }
            if (direct.IsEmpty)
            {
                sink.Put(offset, target);
            }
            offset += wanted;
        }
        // The stream must end here; reading on also makes the decoder check its own checksum.
        if (read(scratch.AsSpan(0, 1)) != 0)
        {
            throw new KernelFormatException(
                $"corrupt: the payload unpacks to more than the {length} bytes it claims");
        }
    }

    private static void ReadFully(ReadBytes read, Span<byte> target, long offset)
    {
        for (int done = 0; done < target.Length;)
        {
            int n = read(target[done..]);
            if (n == 0)
            {
                throw new KernelFormatException(
                    $"corrupt: the payload ends after {offset + done} unpacked bytes");
            }
            done += n;
        }
    }

    /// <summary>
    /// The legacy lz4 frame: magic, then (u32 length, block) until the end; blocks are independent.
    /// </summary>
    private static void UnpackLz4(ReadOnlyMemory<byte> stream, long length, IImageSink sink)
    {
        (int Offset, int Length)[] blocks = FindLz4Blocks(stream.Span, length);
        UnpackLz4Block(stream, blocks, 0, length, sink, new byte[Math.Min(Lz4BlockBytes, length)]);
        try
        {
            Parallel.For(1, blocks.Length, () => Array.Empty<byte>(), (i, _, scratch) =>
            {
                if (scratch.Length == 0
                    && sink.Direct((long)i * Lz4BlockBytes, BlockLength(i, length)).IsEmpty)
                {
                    scratch = GC.AllocateUninitializedArray<byte>(Lz4BlockBytes);
                }
                UnpackLz4Block(stream, blocks, i, length, sink, scratch);
                return scratch;
            }, _ => { });
        }
        catch (AggregateException e)
        {
            // Both workers may have found damage; one reason is enough.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private static int BlockLength(int index, long length) =>
        (int)Math.Min(Lz4BlockBytes, length - (long)index * Lz4BlockBytes);

    private static (int Offset, int Length)[] FindLz4Blocks(ReadOnlySpan<byte> stream, long length)
    {
        var blocks = new (int Offset, int Length)[(length + Lz4BlockBytes - 1) / Lz4BlockBytes];
        int position = 4;
        for (int i = 0; i < blocks.Length; i++)
        {
            long size = position + 4 <= stream.Length
                ? BinaryPrimitives.ReadUInt32LittleEndian(stream[position..]) : -1;
            if (size <= 0 || size > stream.Length - position - 4)
            {
                throw new KernelFormatException(
                    $"corrupt: lz4 block {i} of {blocks.Length} is not inside the payload");
            }
            blocks[i] = (position + 4, (int)size);
            position += 4 + (int)size;
        }
        return position == stream.Length ? blocks
            : throw new KernelFormatException(
                $"corrupt: {stream.Length - position} bytes after the last lz4 block");
    }

    private static void UnpackLz4Block(
        ReadOnlyMemory<byte> stream, (int Offset, int Length)[] blocks, int index,
        long length, IImageSink sink, byte[] scratch)
    {
        long offset = (long)index * Lz4BlockBytes;
        int expected = BlockLength(index, length);
        Span<byte> direct = index == 0 ? default : sink.Direct(offset, expected);
        Span<byte> target = direct.IsEmpty ? scratch.AsSpan(0, expected) : direct;
        int produced;
        try
        {
            produced = Lz4.DecompressBlock(
                stream.Span.Slice(blocks[index].Offset, blocks[index].Length), target);
        }
        catch (DecodeException e)
        {
            throw new KernelFormatException($"corrupt: {e.Message}");
        }
        if (produced != expected)
        {
            throw new KernelFormatException(
                $"corrupt: lz4 block {index} unpacks to {produced} bytes, not {expected}");
        }
        if (index == 0)
        {
            sink.Begin(target, length);
        }
        if (direct.IsEmpty)
        {
            sink.Put(offset, target);
        }
    }
}
