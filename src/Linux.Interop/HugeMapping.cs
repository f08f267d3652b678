using System;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop;

/// <summary>
/// Private zeroed memory in huge pages, where the host has them and gives them to those who ask (madvise(2), MADV_HUGEPAGE); in small ones
/// elsewhere. Owns the mapping.
/// </summary>
public sealed unsafe class HugeMapping : IDisposable
{
    private const nuint HugePage = 2 << 20;

    private readonly nint _mapping;
    private readonly nuint _mapped;

    /// <summary>First byte, at a huge page's beginning.</summary>
    public byte* Start { get; }

    /// <param name="what">for the message when there is no memory</param>
    /// <param name="protection">PROT_ bits of mmap(2)</param>
    /// <param name="isWorthIt">false: small pages, of which only those that are used take memory</param>
    /// <exception cref="InvalidOperationException">the host has no memory for it, or does not allow it</exception>
    public HugeMapping(string what, nuint bytes, int protection, bool isWorthIt = true)
    {
        bytes = (bytes + HugePage - 1) & ~(HugePage - 1); // a huge page is in the range as a whole or not one
        _mapped = bytes + HugePage;
        _mapping = Libc.Mmap(0, _mapped, protection, Libc.MapPrivate | Libc.MapAnonymous | Libc.MapNoReserve, -1, 0);
        if (_mapping == -1)
        {
            throw new InvalidOperationException($"{what}: mmap of {bytes} bytes: errno {Marshal.GetLastPInvokeError()}");
        }
        Start = (byte*)(((nuint)_mapping + HugePage - 1) & ~(HugePage - 1));
        if (isWorthIt)
        {
            _ = Libc.Madvise((nint)Start, bytes, Libc.MadviseHugePage); // a host without them does without
        }
    }

    public void Dispose() => Libc.Munmap(_mapping, _mapped);
}
