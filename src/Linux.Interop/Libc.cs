using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop;

/// <summary>The few libc entry points that the lower layers need (man-pages section 2).</summary>
public static unsafe partial class Libc
{
    public const int ProtNone = 0, ProtRead = 1, ProtWrite = 2, ProtExec = 4;
    public const int MapShared = 1, MapPrivate = 2, MapFixed = 0x10, MapAnonymous = 0x20, MapNoReserve = 0x4000;

    /// <summary>
    /// madvise(2): DONTNEED frees private pages, REMOVE shared ones and the range of the file behind them; DONTFORK keeps a
    /// child of ours from sharing pages that the host's kernel is reading into; HUGEPAGE fails on hosts that have none.
    /// </summary>
    public const int MadviseDontNeed = 4, MadviseRemove = 9, MadviseDontFork = 10, MadviseHugePage = 14;

    /// <summary>mmap(2); returns -1 on failure with the last P/Invoke error set.</summary>
    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Mmap(nint address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Munmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    public static partial int Mprotect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    public static partial int Madvise(nint address, nuint length, int advice);

    /// <summary>memfd_create(2).</summary>
    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    public static partial int Ftruncate(int fd, long length);

    [LibraryImport("libc", EntryPoint = "getentropy", SetLastError = true)]
    private static partial int Getentropy(byte* buffer, nuint length);

    /// <summary>Fills a buffer of at most 256 bytes with random bytes that nobody can guess (getentropy(3)).</summary>
    public static void FillRandom(System.Span<byte> buffer)
    {
        fixed (byte* bytes = buffer)
        {
            if (Getentropy(bytes, (nuint)buffer.Length) != 0)
            {
                throw new System.InvalidOperationException($"getentropy: errno {Marshal.GetLastPInvokeError()}");
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    public static partial int Sigaction(int signal, void* action, void* previous);
}
