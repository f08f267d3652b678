using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop.Files;

public sealed unsafe partial class HostFile
{
    /// <summary>Walks over pieces of memory as the kernel takes some bytes of them at a time.</summary>
    private ref struct Cursor(ReadOnlySpan<IoVector> vectors)
    {
        private ReadOnlySpan<IoVector> _left = vectors;
        private nuint _doneOfFirst;

        /// <summary>
        /// What to do next: the rest of a piece begun alone, or pieces from a whole one on. False at the end.
        /// </summary>
        public bool Next(out IoVector first, out ReadOnlySpan<IoVector> rest)
        {
            while (_left.Length > 0 && _left[0].Length == _doneOfFirst)
            {
                _left = _left[1..];
                _doneOfFirst = 0;
            }
            if (_left.IsEmpty)
            {
                first = default;
                rest = default;
                return false;
            }
            first = new IoVector(_left[0].Address + (nint)_doneOfFirst, _left[0].Length - _doneOfFirst);
            rest = _doneOfFirst == 0 ? _left : _left[..1];
            return true;
        }

        public void Advance(nuint bytes)
        {
            while (bytes > 0)
            {
                nuint step = nuint.Min(bytes, _left[0].Length - _doneOfFirst);
                _doneOfFirst += step;
                bytes -= step;
                if (_doneOfFirst == _left[0].Length)
                {
                    _left = _left[1..];
                    _doneOfFirst = 0;
                }
            }
        }

        /// <summary>Zeroes what is left.</summary>
        public void ClearRest()
        {
            while (Next(out IoVector first, out _))
            {
                NativeMemory.Clear((void*)first.Address, first.Length);
                Advance(first.Length);
            }
        }
    }

    /// <summary>The start of struct statx; 256 bytes as a whole.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 256)]
    private struct Statx
    {
        public uint Mask, BlockSize;
        public ulong Attributes;
        public uint Links, User, Group;
        public ushort Mode, Spare;
        public ulong Inode, Size, Blocks;
    }

    /// <summary>struct flock on x86-64: 32 bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 32)]
    private struct FileLock
    {
        public short Type, Whence;
        public long Start, Length;

        /// <summary>Must be 0 for open file description locks.</summary>
        public int Owner;
    }

    [LibraryImport(
        "libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenCall(string path, int flags, int mode);

    [LibraryImport(
        "libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatxCall(int folder, string path, int flags, uint mask, Statx* status);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long Seek(SafeFileHandle file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static partial nint ReadCall(SafeFileHandle file, byte* start, nuint length, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint WriteCall(SafeFileHandle file, byte* start, nuint length, long offset);

    [LibraryImport("libc", EntryPoint = "preadv", SetLastError = true)]
    private static partial nint ReadVectorCall(
        SafeFileHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport("libc", EntryPoint = "pwritev", SetLastError = true)]
    private static partial nint WriteVectorCall(
        SafeFileHandle file, IoVector* vectors, int count, long offset);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int AllocateCall(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int SyncCall(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int TruncateCall(SafeFileHandle file, long length);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, int command, FileLock* request);
}
