using System;
using System.Threading;
using Ryokan.Linux.Interop.Files;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Raw;

/// <summary>
/// A disk whose bytes are those of a file or block device. A file that does not end on a sector boundary is
/// shown with its last sector filled up with zeroes.
/// </summary>
internal sealed class RawDisk : IDisk
{
    private const uint HostBlockBytes = 4096;

    private readonly ImageFile _file;
    private ulong _size;

    public RawDisk(ImageFile file)
    {
        _file = file;
        _size = DiskRange.RoundUpToSector(file.Length);
    }

    public ulong SizeBytes => Volatile.Read(ref _size);

    public bool IsReadOnly => _file.IsReadOnly;

    public uint DiscardGranularityBytes => HostBlockBytes;

    public void Read(ulong offset, Span<byte> destination)
    {
        DiskRange.Check(this, _file.Path, offset, (ulong)destination.Length);
        _file.Read(offset, destination);
    }

    public void Read(ulong offset, ReadOnlySpan<IoVector> destination)
    {
        DiskRange.Check(this, _file.Path, offset, DiskRange.Total(destination));
        _file.Read(offset, destination);
    }

    public void Write(ulong offset, ReadOnlySpan<byte> source)
    {
        DiskRange.CheckWrite(this, _file.Path, offset, (ulong)source.Length);
        _file.Write(offset, source);
    }

    public void Write(ulong offset, ReadOnlySpan<IoVector> source)
    {
        DiskRange.CheckWrite(this, _file.Path, offset, DiskRange.Total(source));
        _file.Write(offset, source);
    }

    public void WriteZeroes(ulong offset, ulong length)
    {
        DiskRange.CheckWrite(this, _file.Path, offset, length);
        _file.WriteZeroes(offset, length);
    }

    public void Discard(ulong offset, ulong length)
    {
        DiskRange.CheckWrite(this, _file.Path, offset, length);
        _file.Discard(offset, length);
    }

    public void Flush()
    {
        if (!IsReadOnly)
        {
            _file.Sync();
        }
    }

    public void Resize(ulong bytes)
    {
        DiskRange.CheckResize(this, _file.Path, bytes);
        if (!_file.CanGrow)
        {
            // Its owner resizes it; we look again.
            if (bytes > _file.Length)
            {
                throw DiskException.Because(
                    _file.Path, $"the block device has only {_file.Length} bytes: make it larger first");
            }
        }
        else if (bytes > _file.Length)
        {
            _file.SetLength(bytes);
        }
        Volatile.Write(ref _size, bytes);
    }

    public void Dispose() => _file.Dispose();
}
