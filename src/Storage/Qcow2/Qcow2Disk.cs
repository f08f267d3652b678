using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.Linux.Interop.Files;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// A disk in a qcow2 image. A request looks its clusters up under the image's lock and moves data without
/// it; a
/// write that needs new clusters claims its guest clusters until the tables name the new ones, and whoever
/// wants to
/// change these meanwhile waits. Tables change in memory and reach the disk by <see cref="Commit"/>.
/// </summary>
internal sealed partial class Qcow2Disk : IDisk
{
    /// <summary>Requests in more pieces than this take their scratch space from the heap.</summary>
    private const int StackPieces = 64;

    private const uint SmallestDiscard = 4096;

    private readonly Qcow2Image _image;
    private readonly IImageFile _file;
    private readonly Geometry _geometry;
    private readonly IDisk? _backing;
    private readonly Commit _commit;
    private readonly CompressedClusters _compressed;

    /// <summary>Guest clusters that are being given a new place; under the image's lock.</summary>
    private readonly List<ClusterRange> _claims = [];

    private ulong _size;
    private bool _autoclearDone;
    private bool _disposed;

    /// <param name="image">owned from now on</param>
    /// <param name="backing">what unallocated clusters show, or null; owned from now on</param>
    public Qcow2Disk(Qcow2Image image, IDisk? backing)
    {
        (_image, _backing, _file, _geometry) = (image, backing, image.File, image.Geometry);
        _commit = new Commit(image);
        _compressed = new CompressedClusters(_file, image.Header);
        _size = DiskRange.RoundUpToSector(image.Header.Size);
    }

    public ulong SizeBytes => Volatile.Read(ref _size);

    public bool IsReadOnly => _file.IsReadOnly;

    public uint DiscardGranularityBytes => uint.Max((uint)_geometry.ClusterBytes, SmallestDiscard);

    /// <summary>Consecutive guest clusters that are served in one go.</summary>
    /// <param name="Entry">of the first</param>
    /// <param name="HostOffset">of the first byte, for <see cref="ClusterKind.Data"/></param>
    /// <param name="Length">in bytes</param>
    private readonly record struct Extent(L2Entry Entry, ulong HostOffset, ulong Length)
    {
        public ClusterKind Kind => Entry.Kind;
    }

    public void Read(ulong offset, Span<byte> destination) => IoVectors.Pin(
        destination, (this, offset), static (piece, to) => to.Item1.Read(to.offset, [piece]));

    public void Read(ulong offset, ReadOnlySpan<IoVector> destination)
    {
        ulong length = DiskRange.Total(destination);
        DiskRange.Check(this, _file.Path, offset, length);
        Span<IoVector> room = destination.Length <= StackPieces
            ? stackalloc IoVector[StackPieces] : new IoVector[destination.Length];
        int epoch = _image.Epochs.Enter();
        try
        {
            for (ulong done = 0; done < length;)
            {
                Extent extent = Find(offset + done, length - done);
                ReadOnlySpan<IoVector> part = extent.Length == length ? destination
                    : IoVectors.Slice(destination, done, extent.Length, room);
                Read(extent, offset + done, part);
                done += extent.Length;
            }
        }
        finally
        {
            _image.Epochs.Exit(epoch);
        }
    }

    private void Read(Extent extent, ulong offset, ReadOnlySpan<IoVector> destination)
    {
        switch (extent.Kind)
        {
            case ClusterKind.Data:
                _file.Read(extent.HostOffset, destination);
                break;
            case ClusterKind.Compressed:
                byte[] cluster = _compressed.Read(extent.Entry, _image.UsedBytes);
                IoVectors.CopyFrom(destination,
                    cluster.AsSpan((int)_geometry.OffsetInCluster(offset), (int)extent.Length));
                break;
            case ClusterKind.Unallocated when _backing != null:
                ReadBacking(offset, extent.Length, destination);
                break;
            default:
                IoVectors.Clear(destination);
                break;
        }
    }

    private void ReadBacking(ulong offset, ulong length, ReadOnlySpan<IoVector> destination)
    {
        ulong size = _backing!.SizeBytes;
        ulong there = offset >= size ? 0 : ulong.Min(length, size - offset);
        if (there == length)
        {
            _backing.Read(offset, destination);
            return;
        }
        IoVector[] room = new IoVector[destination.Length];
        if (there > 0)
        {
            _backing.Read(offset, IoVectors.Slice(destination, 0, there, room));
        }
        IoVectors.Clear(IoVectors.Slice(destination, there, length - there, room));
    }

    /// <summary>What is at an offset, and how far it goes on like that; at most <paramref name="most"/>
    /// bytes.</summary>
    private Extent Find(ulong offset, ulong most)
    {
        ulong cluster = _geometry.ClusterOf(offset), into = _geometry.OffsetInCluster(offset);
        lock (_image.Lock)
        {
            MetadataTable? table = _image.Map.Table(cluster);
            int index = _image.Map.IndexInL2(cluster);
            ulong left = ((ulong)(_geometry.L2Entries - index) << _geometry.ClusterBits) - into;
            most = ulong.Min(most, left);
            if (table == null)
            {
                return new Extent(L2Entry.Unallocated, 0, most);
            }
            L2Entry first = new(table[index]);
            ulong length = (ulong)_geometry.ClusterBytes - into;
            for (ulong i = 1; length < most && Continues(first, i, new L2Entry(table[index + (int)i])); i++)
            {
                Check(cluster + i, new L2Entry(table[index + (int)i]));
                length += (ulong)_geometry.ClusterBytes;
            }
            Check(cluster, first);
            return new Extent(first, first.HostOffset + into, ulong.Min(length, most));
        }
    }

    private bool Continues(L2Entry first, ulong clusters, L2Entry next) =>
        first.Kind == next.Kind && first.Kind switch
        {
            ClusterKind.Data => next.HostOffset == first.HostOffset + _geometry.OffsetOf(clusters)
                && next.IsCopied == first.IsCopied,
            ClusterKind.Compressed => false,
            _ => true,
        };

    private void Check(ulong cluster, L2Entry entry)
    {
        if (entry.Kind == ClusterKind.Data)
        {
            _image.Map.Check(cluster, entry, _image.UsedBytes);
        }
    }

    public void Flush()
    {
        if (!IsReadOnly)
        {
            _commit.Run();
        }
    }

    public void Resize(ulong bytes)
    {
        DiskRange.CheckResize(this, _file.Path, bytes);
        ulong old = SizeBytes;
        if (bytes == old)
        {
            return;
        }
        BeforeChange();
        lock (_image.Lock)
        {
            _image.ThrowIfDamaged();
            if (_image.Header is { Version: 2, SnapshotCount: > 0 })
            {
                throw DiskException.Because(_file.Path,
                    "cannot be resized: a version 2 image does not note the size that its snapshots had");
            }
            _image.Freed.Add(_image.Map.Grow(bytes, _image.Refcounts));
            _image.HeaderIsDirty = true;
            Volatile.Write(ref _size, bytes);
        }
        // The rest of the last cluster, and what the backing file has there, must not come to light.
        ulong shown = ulong.Max(_geometry.OffsetOf(_geometry.ClustersFor(old)), _backing?.SizeBytes ?? 0);
        WriteZeroes(old, ulong.Min(shown, bytes) - old);
        _commit.Run();
    }

    /// <summary>
    /// Writes what is left and marks the image clean. Errors are not told, as nobody could act on them: what
    /// was
    /// flushed is safe anyhow, and the image is repaired when it is opened next.
    /// </summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }
        _disposed = true;
        try
        {
            if (!IsReadOnly)
            {
                Close();
            }
        }
        catch (DiskException)
        {
            // Stays marked dirty.
        }
        finally
        {
            _file.Dispose();
            _backing?.Dispose();
        }
    }

    private void Close()
    {
        // The first writes the tables; then clusters are given up, which the second writes.
        _commit.Run();
        _commit.Run();
        lock (_image.Lock)
        {
            _image.End.Trim();
            if (_image.Header.IsDirty && _image.Freed.IsEmpty)
            {
                _image.Header.IsDirty = false;
                _image.WriteFeatures();
            }
        }
    }
}
