using System;
using System.Runtime.InteropServices;
using Ryokan.Linux.Interop;

namespace Ryokan.GuestMemory;

/// <summary>
/// A page-aligned table of 64-bit words in host memory outside the managed heap, at an address that never
/// changes: what an engine may show to a guest read-only (Xen's machine-to-physical table).
/// </summary>
public sealed unsafe class HostTable : IDisposable
{
    private readonly ulong* _words;

    /// <summary>Number of words; a whole number of pages.</summary>
    public ulong Length { get; }

    public nint Address => (nint)_words;

    public ulong Bytes => Length * sizeof(ulong);

    /// <summary>Maps at least <paramref name="words"/> words, all zero.</summary>
    /// <exception cref="InvalidOperationException">the host has no memory for it</exception>
    public HostTable(ulong words)
    {
        const ulong perPage = GuestFrames.PageSize / sizeof(ulong);
        Length = (words + perPage - 1) / perPage * perPage;
        nint p = Libc.Mmap(0, (nuint)Bytes, Libc.ProtRead | Libc.ProtWrite,
            Libc.MapPrivate | Libc.MapAnonymous | Libc.MapNoReserve, -1, 0);
        _words = p != -1 ? (ulong*)p : throw new InvalidOperationException(
            $"host table: mmap of {Bytes} bytes: errno {Marshal.GetLastPInvokeError()}");
    }

    /// <summary>One word; throws when the index is outside (our error, not the guest's).</summary>
    public ref ulong this[ulong index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Length);
            return ref _words[index];
        }
    }

    public void Dispose() => Libc.Munmap((nint)_words, (nuint)Bytes);
}
