using System;
using System.Buffers.Binary;
using Ryokan.DomainBuilder.Kernel;
using Ryokan.Linux.Interop.Decompression;

namespace Ryokan.DomainBuilder.Ramdisk;

/// <summary>
/// Tells a whole initramfs from a cut or damaged one before the guest starts: cpio archives, plain or
/// compressed, one after another, as Linux' own unpacker takes them. Formats that cannot be looked into here
/// are let through.
/// </summary>
internal static class RamdiskCheck
{
    private const int ChunkBytes = 256 << 10;
    private const int Lz4BlockBytes = 8 << 20;

    /// <exception cref="DomainBuildException">with key "ramdisk"</exception>
    public static void Verify(string path, ReadOnlyMemory<byte> image)
    {
        try
        {
            CpioWalker walker = new();
            bool compressed = false;
            while (!image.IsEmpty)
            {
                image = image[walker.Feed(image.Span)..];
                if (walker.Error != null || image.IsEmpty)
                {
                    break;
                }
                image = VerifyCompressed(image);
                compressed = true;
            }
            // A compressed archive needs no plain one around it.
            string? error = compressed && walker is { AtRest: true, Error: null } ? null : walker.Finish();
            if (error != null)
            {
                throw new KernelFormatException(error);
            }
        }
        catch (DecodeException e)
        {
            throw new DomainBuildException("ramdisk", path, $"corrupt or truncated: {e.Message}");
        }
        catch (KernelFormatException e)
        {
            throw new DomainBuildException("ramdisk", path, e.Message);
        }
        catch (DllNotFoundException)
        {
            // Without the library it cannot be checked; the guest brings its own.
        }
    }

    /// <summary>
    /// Checks one compressed archive; returns what follows it (nothing where that is not known).
    /// </summary>
    private static ReadOnlyMemory<byte> VerifyCompressed(ReadOnlyMemory<byte> image)
    {
        switch (Payload.Recognise(image.Span))
        {
            case PayloadCodec.Gzip:
                using (GzipDecoder gzip = new())
                {
                    return VerifyStream(gzip, image);
                }
            case PayloadCodec.Xz:
                using (XzDecoder xz = new())
                {
                    return VerifyStream(xz, image);
                }
            case PayloadCodec.Zstd:
                using (ZstdDecoder zstd = new())
                {
                    return VerifyStream(zstd, image);
                }
            case PayloadCodec.Lz4:
                return VerifyLz4(image);
            case PayloadCodec.None:
                throw new KernelFormatException(
                    "corrupt: neither a cpio archive nor compressed in a way Linux knows");
            default:
                return default;
        }
    }

    private static ReadOnlyMemory<byte> VerifyStream(IStreamDecoder decoder, ReadOnlyMemory<byte> image)
    {
        CpioWalker walker = new();
        byte[] chunk = new byte[ChunkBytes];
        for (DecodeStep step = default; !step.Finished; image = image[step.Consumed..])
        {
            step = decoder.Decode(image.Span, chunk);
            FeedAll(walker, chunk.AsSpan(0, step.Produced));
            if (step is { Finished: false, Consumed: 0, Produced: 0 })
            {
                throw new KernelFormatException("truncated: the compressed archive has no end");
            }
        }
        Require(walker);
        return image;
    }

    private static ReadOnlyMemory<byte> VerifyLz4(ReadOnlyMemory<byte> image)
    {
        CpioWalker walker = new();
        byte[] block = GC.AllocateUninitializedArray<byte>(Lz4BlockBytes);
        image = image[4..];
        // The format has no end mark: it ends with the data, or with the zeros that pad it.
        while (image.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(image.Span) is var size and not 0)
        {
            if (size > (uint)image.Length - 4)
            {
                throw new KernelFormatException("truncated: the last lz4 block is cut");
            }
            FeedAll(walker, block.AsSpan(0, Lz4.DecompressBlock(image.Span.Slice(4, (int)size), block)));
            image = image[(4 + (int)size)..];
        }
        Require(walker);
        return image;
    }

    private static void FeedAll(CpioWalker walker, ReadOnlySpan<byte> bytes)
    {
        if (walker.Feed(bytes) != bytes.Length)
        {
            throw new KernelFormatException(
                walker.Error ?? "corrupt: the compressed data is no cpio archive");
        }
    }

    private static void Require(CpioWalker walker)
    {
        if (walker.Finish() is { } error)
        {
            throw new KernelFormatException(error);
        }
    }
}
