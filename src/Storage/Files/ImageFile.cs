using System;
using System.Threading;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.Storage.Files;

/// <summary>A host file or block device that holds an image, locked for as long as it is open.</summary>
internal sealed class ImageFile : IImageFile
{
    private const int NotSupported = DiskException.Enotsup, NoSuchCall = 38,
        InvalidArgument = DiskException.Einval;
    private const int ZeroChunkBytes = 1 << 20;

    private static readonly byte[] s_zeroes = new byte[ZeroChunkBytes];

    private readonly HostFile _file;

    /// <summary>What the host said it cannot do is not asked for again.</summary>
    private bool _zeroRangeMissing, _punchHoleMissing;

    private int _syncError;

    public string Path { get; }

    public bool IsReadOnly { get; }

    public bool CanGrow => !_file.IsBlockDevice;

    private ImageFile(string path, HostFile file, bool isReadOnly)
    {
        Path = path;
        _file = file;
        IsReadOnly = isReadOnly;
    }

    /// <summary>Opens and locks an existing file or block device.</summary>
    public static ImageFile Open(string path, bool writable)
    {
        const int NotADevice = DiskException.Enodev;
        int error = HostFile.Open(path, writable, out HostFile? file);
        if (error == NotADevice)
        {
            throw DiskException.Because(path, "is neither a file nor a block device", error);
        }
        return error == 0
            ? Locked(path, file!, writable)
            : throw DiskException.FromHost(path, writable ? "open for writing" : "open for reading", error);
    }

    /// <summary>Makes a new file, which must not exist.</summary>
    public static ImageFile Create(string path)
    {
        int error = HostFile.Create(path, out HostFile? file);
        return error == 0 ? Locked(path, file!, writable: true)
            : throw DiskException.FromHost(path, "make it", error);
    }

    /// <summary>
    /// Opens a file for a look at it, whoever uses it: what is read may be about to change.
    /// </summary>
    public static ImageFile OpenUnlocked(string path)
    {
        int error = HostFile.Open(path, writable: false, out HostFile? file);
        return error == 0 ? new ImageFile(path, file!, isReadOnly: true)
            : throw DiskException.FromHost(path, "open for reading", error);
    }

    private static ImageFile Locked(string path, HostFile file, bool writable)
    {
        try
        {
            ImageLock.Take(file, path, writable);
            return new ImageFile(path, file, !writable);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public ulong Length
    {
        get
        {
            Check(_file.Length(out ulong bytes), "find its size");
            return bytes;
        }
    }

    public void Read(ulong offset, Span<byte> destination)
    {
        int error = _file.Read(offset, destination);
        if (error != 0)
        {
            throw DiskException.FromHost(Path, $"read {destination.Length} bytes at {offset}", error);
        }
    }

    public void Read(ulong offset, ReadOnlySpan<IoVector> destination)
    {
        int error = _file.Read(offset, destination);
        if (error != 0)
        {
            throw DiskException.FromHost(Path, $"read at {offset}", error);
        }
    }

    public void Write(ulong offset, ReadOnlySpan<byte> source)
    {
        int error = _file.Write(offset, source);
        if (error != 0)
        {
            throw DiskException.FromHost(Path, $"write {source.Length} bytes at {offset}", error);
        }
    }

    public void Write(ulong offset, ReadOnlySpan<IoVector> source)
    {
        int error = _file.Write(offset, source);
        if (error != 0)
        {
            throw DiskException.FromHost(Path, $"write at {offset}", error);
        }
    }

    public void WriteZeroes(ulong offset, ulong length)
    {
        if (!Volatile.Read(ref _zeroRangeMissing))
        {
            int error = _file.ZeroRange(offset, length);
            if (error is not (NotSupported or NoSuchCall or InvalidArgument))
            {
                Check(error, $"zero {length} bytes at {offset}");
                return;
            }
            Volatile.Write(ref _zeroRangeMissing, true);
        }
        // A hole reads as zeroes, but does not make a file longer.
        if (offset + length > Length || !TryPunch(offset, length))
        {
            for (ulong done = 0; done < length;)
            {
                int step = (int)ulong.Min(length - done, ZeroChunkBytes);
                Write(offset + done, s_zeroes.AsSpan(0, step));
                done += (ulong)step;
            }
        }
    }

    public void Discard(ulong offset, ulong length) => TryPunch(offset, length);

    private bool TryPunch(ulong offset, ulong length)
    {
        if (Volatile.Read(ref _punchHoleMissing))
        {
            return false;
        }
        int error = _file.PunchHole(offset, length);
        if (error is NotSupported or NoSuchCall or InvalidArgument)
        {
            Volatile.Write(ref _punchHoleMissing, true);
            return false;
        }
        Check(error, $"discard {length} bytes at {offset}");
        return true;
    }

    /// <summary>Room that the file takes on the host.</summary>
    public ulong AllocatedBytes
    {
        get
        {
            Check(_file.Allocated(out ulong bytes), "find its size");
            return bytes;
        }
    }

    /// <summary>Where data begins at or after an offset; the end of the file when there is none.</summary>
    public ulong NextData(ulong offset)
    {
        const int NothingBehind = 6;
        int error = _file.NextData(offset, out ulong data);
        if (error == NothingBehind)
        {
            return Length;
        }
        Check(error, $"find data from {offset} on");
        return data;
    }

    /// <summary>Where data ends that is at an offset.</summary>
    public ulong NextHole(ulong offset)
    {
        Check(_file.NextHole(offset, out ulong hole), $"find the end of data from {offset} on");
        return hole;
    }

    /// <summary>
    /// Once it has failed it fails for good: the kernel forgets what it could not write, so a later success
    /// would
    /// mean nothing.
    /// </summary>
    public void Sync()
    {
        int error = Volatile.Read(ref _syncError);
        if (error == 0 && (error = _file.Sync()) != 0)
        {
            Volatile.Write(ref _syncError, error);
        }
        Check(error, "flush");
    }

    public void SetLength(ulong bytes) => Check(_file.SetLength(bytes), $"make it {bytes} bytes long");

    private void Check(int error, string action)
    {
        if (error != 0)
        {
            throw DiskException.FromHost(Path, action, error);
        }
    }

    public void Dispose() => _file.Dispose();
}
