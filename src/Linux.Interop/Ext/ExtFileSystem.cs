using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace Ryokan.Linux.Interop.Ext;

/// <summary>Fills the destination from an offset of the file system; false when it cannot.</summary>
public delegate bool ExtReader(ulong offset, Span<byte> destination);

/// <summary>
/// Reads an ext2, ext3 or ext4 file system without mounting it, by way of the system's libext2fs (Debian:
/// libext2fs2, there wherever e2fsprogs is; API: ext2fs/ext2fs.h). The journal is not replayed. One thread
/// at a time.
/// </summary>
public sealed unsafe partial class ExtFileSystem : IDisposable
{
    private const uint RootInode = 2;
    private const int TypeMask = 0xf000, RegularType = 0x8000, InodeBytes = 128;

    /// <summary>Directory entries that are looked at: more than any folder of boot files has.</summary>
    private const int MaxEntries = 100_000;

    private readonly ExtChannel _channel;
    private void* _fs;

    private ExtFileSystem(ExtChannel channel, void* fs)
    {
        _channel = channel;
        _fs = fs;
    }

    /// <summary>Opens the file system.</summary>
    /// <param name="reader">gives its bytes; must not throw</param>
    /// <param name="bytes">its size</param>
    /// <exception cref="ExtException">there is none, it is damaged, or the library is not there</exception>
    public static ExtFileSystem Open(ExtReader reader, ulong bytes)
    {
        const int Use64Bits = 0x20000, SkipMultipleMountProtection = 0x100000;
        ExtChannel channel = new(reader, bytes);
        try
        {
            void* fs;
            nint error = OpenCall(
                channel.Name, Use64Bits | SkipMultipleMountProtection, 0, 0, ExtChannel.Manager, &fs);
            if (error != 0)
            {
                throw Failure("open", error);
            }
            return new ExtFileSystem(channel, fs);
        }
        catch (DllNotFoundException)
        {
            channel.Dispose();
            throw new ExtException("libext2fs.so.2 is not installed (Debian package libext2fs2)");
        }
        catch
        {
            channel.Dispose();
            throw;
        }
    }

    /// <summary>Names in a folder; none when there is no such folder.</summary>
    public IReadOnlyList<string> List(string folder)
    {
        List<string> names = [];
        if (Find(folder) is not { } inode || CheckFolder(_fs, inode) != 0)
        {
            return names;
        }
        GCHandle handle = GCHandle.Alloc(names);
        try
        {
            nint error = Iterate(_fs, inode, 0, null, &OnEntry, GCHandle.ToIntPtr(handle));
            return error == 0 ? names : throw Failure($"list {folder}", error);
        }
        finally
        {
            handle.Free();
        }
    }

    [UnmanagedCallersOnly]
    private static int OnEntry(
        uint folder, int kind, byte* entry, int offset, int blockBytes, byte* buffer, nint state)
    {
        const int Abort = 2, NameLengthAt = 6, NameAt = 8;
        // struct ext2_dir_entry: inode, record length, name length (low byte; the file's type above), name.
        List<string> names = (List<string>)GCHandle.FromIntPtr(state).Target!;
        if (names.Count >= MaxEntries)
        {
            return Abort;
        }
        names.Add(Encoding.UTF8.GetString(entry + NameAt, entry[NameLengthAt]));
        return 0;
    }

    /// <summary>A whole file, through symbolic links; null when there is no such file.</summary>
    /// <exception cref="ExtException">it is no file, is larger than allowed, or cannot be read</exception>
    public byte[]? ReadFile(string path, ulong maxBytes)
    {
        if (Find(path) is not { } inode)
        {
            return null;
        }
        byte* node = stackalloc byte[InodeBytes];
        Check($"read {path}", ReadInode(_fs, inode, node));
        if ((*(ushort*)node & TypeMask) != RegularType)
        {
            throw new ExtException($"{path} is not a file");
        }
        void* file;
        Check($"open {path}", OpenFile(_fs, inode, 0, &file));
        try
        {
            ulong size;
            Check($"find the size of {path}", FileSize(file, &size));
            if (size > maxBytes)
            {
                throw new ExtException($"{path} has {size} bytes; the most is {maxBytes}");
            }
            byte[] contents = new byte[size];
            fixed (byte* start = contents)
            {
                for (ulong done = 0; done < size;)
                {
                    uint got;
                    uint wanted = (uint)ulong.Min(size - done, 1 << 20);
                    Check($"read {path}", ReadCall(file, start + done, wanted, &got));
                    if (got == 0)
                    {
                        throw new ExtException($"{path} ends too early");
                    }
                    done += got;
                }
            }
            return contents;
        }
        finally
        {
            _ = CloseFile(file);
        }
    }

    private uint? Find(string path)
    {
        const nint NotFound = 2133571404 /* EXT2_ET_FILE_NOT_FOUND */;
        const nint NotFolder = 2133571402 /* EXT2_ET_NO_DIRECTORY */;
        uint inode;
        nint error = Follow(_fs, RootInode, RootInode, path, &inode);
        return error switch
        {
            0 => inode,
            NotFound or NotFolder => null,
            _ => throw Failure($"find {path}", error),
        };
    }

    private static void Check(string what, nint error)
    {
        if (error != 0)
        {
            throw Failure(what, error);
        }
    }

    private static ExtException Failure(string what, nint error)
    {
        InitializeErrors();
        return new ExtException($"cannot {what}: {Marshal.PtrToStringUTF8(ErrorMessage(error))}");
    }

    public void Dispose()
    {
        if (_fs != null)
        {
            _ = CloseCall(_fs);
            _fs = null;
            _channel.Dispose();
        }
    }

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint OpenCall(
        string name, int flags, int superblock, uint blockBytes, nint manager, void** fs);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_close")]
    private static partial nint CloseCall(void* fs);

    [LibraryImport(
        "libext2fs.so.2", EntryPoint = "ext2fs_namei_follow", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Follow(void* fs, uint root, uint folder, string path, uint* inode);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_check_directory")]
    private static partial nint CheckFolder(void* fs, uint inode);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_read_inode")]
    private static partial nint ReadInode(void* fs, uint inode, byte* node);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_dir_iterate2")]
    private static partial nint Iterate(void* fs, uint inode, int flags, byte* buffer,
        delegate* unmanaged<uint, int, byte*, int, int, byte*, nint, int> action, nint state);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_file_open")]
    private static partial nint OpenFile(void* fs, uint inode, int flags, void** file);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_file_get_lsize")]
    private static partial nint FileSize(void* file, ulong* bytes);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_file_read")]
    private static partial nint ReadCall(void* file, byte* buffer, uint wanted, uint* got);

    [LibraryImport("libext2fs.so.2", EntryPoint = "ext2fs_file_close")]
    private static partial nint CloseFile(void* file);

    [LibraryImport("libext2fs.so.2", EntryPoint = "initialize_ext2_error_table")]
    private static partial void InitializeErrors();

    [LibraryImport("libcom_err.so.2", EntryPoint = "error_message")]
    private static partial nint ErrorMessage(nint error);
}

/// <summary>A file system cannot be read; the message is one line.</summary>
public sealed class ExtException(string message) : Exception(message);
