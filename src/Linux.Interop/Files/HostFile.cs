using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop.Files;

/// <summary>
/// A regular file or block device of the host, used at explicit offsets by any number of threads. Every
/// operation returns 0 or the positive errno of the call that failed (man-pages sections 2 and 3); none
/// throws
/// for what the host refuses, and none stops half way without saying so.
/// </summary>
public sealed unsafe partial class HostFile : IDisposable
{
    private const int ReadOnlyFlag = 0, ReadWriteFlag = 2, CreateFlag = 0x40, ExclusiveFlag = 0x80;
    private const int CloseOnExec = 0x80000;
    private const int KeepSize = 1, PunchHoleMode = 2, ZeroRangeMode = 0x10;
    private const int SeekSet = 0, SeekEnd = 2, SeekData = 3, SeekHole = 4;
    private const int Interrupted = 4;

    /// <summary>UIO_MAXIOV: the most pieces that one readv or writev takes.</summary>
    private const int MaxVectors = 1024;

    private readonly SafeFileHandle _handle;

    private HostFile(SafeFileHandle handle, bool isBlockDevice)
    {
        _handle = handle;
        IsBlockDevice = isBlockDevice;
    }

    public bool IsBlockDevice { get; }

    /// <summary>Opens an existing file or block device.</summary>
    /// <returns>0; errno; ENODEV (19) for what is neither a file nor a block device, EISDIR for a
    /// folder</returns>
    public static int Open(string path, bool writable, out HostFile? file) =>
        Open(path, writable ? ReadWriteFlag : ReadOnlyFlag, out file);

    /// <summary>Makes a file that must not exist yet, mode 0666 less the umask, open for writing.</summary>
    public static int Create(string path, out HostFile? file) =>
        Open(path, ReadWriteFlag | CreateFlag | ExclusiveFlag, out file);

    private static int Open(string path, int flags, out HostFile? file)
    {
        const int NonBlocking = 0x800, TypeMask = 0xf000, Regular = 0x8000, Block = 0x6000, Folder = 0x4000;
        const int NoDevice = 19, IsFolder = 21;
        file = null;
        int fd;
        do
        {
            // Without O_NONBLOCK, opening a FIFO would wait for its other end.
            fd = OpenCall(path, flags | CloseOnExec | NonBlocking, 0x1b6 /* 0666 */);
        }
        while (fd < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        if (fd < 0)
        {
            return Marshal.GetLastPInvokeError();
        }
        SafeFileHandle handle = new(fd, ownsHandle: true);
        Statx status;
        const uint TypeField = 1;
        const int EmptyPath = 0x1000;
        if (StatxCall(fd, "", EmptyPath, TypeField, &status) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            handle.Dispose();
            return error;
        }
        int type = status.Mode & TypeMask;
        if (type is not (Regular or Block))
        {
            handle.Dispose();
            return type == Folder ? IsFolder : NoDevice;
        }
        file = new HostFile(handle, type == Block);
        return 0;
    }

    /// <summary>Size in bytes, of a block device too.</summary>
    public int Length(out ulong bytes)
    {
        // Nobody uses the file position, so moving it disturbs nobody.
        long end = Seek(_handle, 0, SeekEnd);
        bytes = end < 0 ? 0 : (ulong)end;
        return end < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>Room that the file takes on the host, in bytes (stat's blocks of 512).</summary>
    public int Allocated(out ulong bytes)
    {
        const uint BlocksField = 0x400;
        const int EmptyPath = 0x1000, BlockBytes = 512;
        Statx status;
        bool added = false;
        try
        {
            _handle.DangerousAddRef(ref added);
            int error = StatxCall((int)_handle.DangerousGetHandle(), "", EmptyPath, BlocksField, &status);
            bytes = error == 0 ? status.Blocks * BlockBytes : 0;
            return error == 0 ? 0 : Marshal.GetLastPInvokeError();
        }
        finally
        {
            if (added)
            {
                _handle.DangerousRelease();
            }
        }
    }

    /// <summary>
    /// Fills the whole destination; what lies past the end of the file reads as zeroes.
    /// </summary>
    public int Read(ulong offset, Span<byte> destination)
    {
        fixed (byte* start = destination)
        {
            IoVector vector = new((nint)start, (nuint)destination.Length);
            return Read(offset, new ReadOnlySpan<IoVector>(in vector));
        }
    }

    public int Write(ulong offset, ReadOnlySpan<byte> source)
    {
        fixed (byte* start = source)
        {
            IoVector vector = new((nint)start, (nuint)source.Length);
            return Write(offset, new ReadOnlySpan<IoVector>(in vector));
        }
    }

    /// <inheritdoc cref="Read(ulong, Span{byte})"/>
    public int Read(ulong offset, ReadOnlySpan<IoVector> destination)
    {
        Cursor cursor = new(destination);
        while (cursor.Next(out IoVector first, out ReadOnlySpan<IoVector> rest))
        {
            nint done;
            if (rest.Length == 1)
            {
                done = ReadCall(_handle, (byte*)first.Address, first.Length, (long)offset);
            }
            else
            {
                fixed (IoVector* vectors = rest)
                {
                    done = ReadVectorCall(_handle, vectors, Math.Min(rest.Length, MaxVectors), (long)offset);
                }
            }
            if (done == 0)
            {
                cursor.ClearRest();
                return 0;
            }
            if (done > 0)
            {
                cursor.Advance((nuint)done);
                offset += (ulong)done;
            }
            else if (Marshal.GetLastPInvokeError() != Interrupted)
            {
                return Marshal.GetLastPInvokeError();
            }
        }
        return 0;
    }

    public int Write(ulong offset, ReadOnlySpan<IoVector> source)
    {
        const int NoSpace = 28;
        Cursor cursor = new(source);
        while (cursor.Next(out IoVector first, out ReadOnlySpan<IoVector> rest))
        {
            nint done;
            if (rest.Length == 1)
            {
                done = WriteCall(_handle, (byte*)first.Address, first.Length, (long)offset);
            }
            else
            {
                fixed (IoVector* vectors = rest)
                {
                    done = WriteVectorCall(_handle, vectors, Math.Min(rest.Length, MaxVectors), (long)offset);
                }
            }
            if (done > 0)
            {
                cursor.Advance((nuint)done);
                offset += (ulong)done;
            }
            else if (done == 0)
            {
                // The end of a block device.
                return NoSpace;
            }
            else if (Marshal.GetLastPInvokeError() != Interrupted)
            {
                return Marshal.GetLastPInvokeError();
            }
        }
        return 0;
    }

    /// <summary>Makes a range read as zeroes, keeping it allocated where the file system can: EOPNOTSUPP
    /// where not.</summary>
    public int ZeroRange(ulong offset, ulong length) => Allocate(ZeroRangeMode, offset, length);

    /// <summary>Gives a range back to the host; it reads as zeroes. EOPNOTSUPP where the host
    /// cannot.</summary>
    public int PunchHole(ulong offset, ulong length) => Allocate(PunchHoleMode | KeepSize, offset, length);

    private int Allocate(int mode, ulong offset, ulong length)
    {
        if (length == 0)
        {
            return 0;
        }
        while (AllocateCall(_handle, mode, (long)offset, (long)length) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error != Interrupted)
            {
                return error;
            }
        }
        return 0;
    }

    /// <summary>Everything written so far survives a power cut: fdatasync(2).</summary>
    public int Sync()
    {
        while (SyncCall(_handle) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error != Interrupted)
            {
                return error;
            }
        }
        return 0;
    }

    public int SetLength(ulong bytes)
    {
        while (TruncateCall(_handle, (long)bytes) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error != Interrupted)
            {
                return error;
            }
        }
        return 0;
    }

    /// <summary>The end of the hole that <paramref name="offset"/> lies in, or the offset itself where data
    /// is.</summary>
    public int NextData(ulong offset, out ulong data) => Find(offset, SeekData, out data);

    /// <summary>The start of the first hole at or after <paramref name="offset"/>; the end of file counts as
    /// one.</summary>
    public int NextHole(ulong offset, out ulong hole) => Find(offset, SeekHole, out hole);

    private int Find(ulong offset, int whence, out ulong found)
    {
        long result = Seek(_handle, (long)offset, whence);
        found = result < 0 ? 0 : (ulong)result;
        return result < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>
    /// Takes or changes a lock of this open file on a range of bytes (fcntl(2), open file description
    /// locks): it
    /// binds other open files, of this process too, and goes away with this one. Never waits.
    /// </summary>
    /// <returns>0; EAGAIN (11) when somebody else's lock is in the way</returns>
    public int Lock(long start, long length, FileLockKind kind)
    {
        const int SetLock = 37;
        FileLock request = new() { Type = (short)kind, Whence = SeekSet, Start = start, Length = length };
        return Control(_handle, SetLock, &request) == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    /// <summary>Whether a lock of another open file would refuse ours; takes none.</summary>
    public int WouldConflict(long start, long length, FileLockKind kind, out bool conflict)
    {
        const int GetLock = 36;
        FileLock request = new() { Type = (short)kind, Whence = SeekSet, Start = start, Length = length };
        int status = Control(_handle, GetLock, &request);
        conflict = status == 0 && request.Type != (short)FileLockKind.None;
        return status == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    public void Dispose() => _handle.Dispose();
}

/// <summary>F_RDLCK, F_WRLCK, F_UNLCK.</summary>
public enum FileLockKind : short
{
    Shared = 0,
    Exclusive = 1,
    None = 2,
}
