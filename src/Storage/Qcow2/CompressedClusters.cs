using System;
using System.Buffers;
using System.IO;
using System.IO.Compression;
using System.Threading;
using Ryokan.Linux.Interop.Decompression;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Reads compressed clusters: raw deflate, or zstd. Keeps the last one, because a guest reads a cluster in
/// pieces.
/// </summary>
internal sealed class CompressedClusters(IImageFile file, Qcow2Header header)
{
    private const byte Zstd = 1;

    private readonly Lock _lock = new();
    private readonly Geometry _geometry = header.Geometry;
    private ulong _lastEntry;
    private byte[]? _last;
    private int _version;

    /// <summary>The contents of a compressed cluster, to be left as they are.</summary>
    /// <exception cref="DiskException">the data is damaged</exception>
    public byte[] Read(L2Entry entry, ulong usedBytes)
    {
        int version;
        lock (_lock)
        {
            if (_last != null && _lastEntry == entry.Raw)
            {
                return _last;
            }
            version = _version;
        }
        byte[] cluster = new byte[_geometry.ClusterBytes];
        (ulong offset, int length) = entry.CompressedRange(_geometry);
        if (offset < (ulong)_geometry.ClusterBytes || offset >= usedBytes)
        {
            throw Damage.In(file, $"compressed data is said to be at {offset:x}h");
        }
        byte[] input = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            file.Read(offset, input.AsSpan(0, length));
            bool whole = header.CompressionType == Zstd
                ? Unzstd(input.AsSpan(0, length), cluster) : Inflate(input, length, cluster);
            if (!whole)
            {
                throw Damage.In(file, $"the compressed data at {offset:x}h is damaged");
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(input);
        }
        lock (_lock)
        {
            if (version == _version)
            {
                (_lastEntry, _last) = (entry.Raw, cluster);
            }
        }
        return cluster;
    }

    /// <summary>A compressed cluster was given up: its place may hold other data soon.</summary>
    public void Forget()
    {
        lock (_lock)
        {
            _version++;
            _last = null;
        }
    }

    private static bool Inflate(byte[] input, int length, Span<byte> cluster)
    {
        try
        {
            using DeflateStream stream = new(
                new MemoryStream(input, 0, length, writable: false), CompressionMode.Decompress);
            return stream.ReadAtLeast(cluster, cluster.Length, throwOnEndOfStream: false) == cluster.Length;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    private static bool Unzstd(ReadOnlySpan<byte> input, Span<byte> cluster)
    {
        try
        {
            using ZstdDecoder decoder = new();
            while (!cluster.IsEmpty)
            {
                DecodeStep step = decoder.Decode(input, cluster);
                if (step is { Consumed: 0, Produced: 0 })
                {
                    return false;
                }
                input = input[step.Consumed..];
                cluster = cluster[step.Produced..];
            }
            return true;
        }
        catch (DecodeException)
        {
            return false;
        }
    }
}
