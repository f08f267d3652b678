using System;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.Storage;

/// <summary>
/// A virtual disk. Every method may be called by any number of threads at once and returns when its work is
/// done; what was written is seen by every read that begins afterwards, and survives a power cut once a
/// <see cref="Flush"/> that began afterwards has returned. Two requests for the same bytes at the same time
/// take
/// effect in any order, as on a real disk.
/// </summary>
/// <remarks>
/// Every method throws <see cref="DiskException"/> for what the host or the image refuses, and with EINVAL
/// for a
/// range that is not inside the disk. A failed write may be tried again: nothing else was damaged by it.
/// </remarks>
public interface IDisk : IDisposable
{
    /// <summary>Multiple of 512.</summary>
    ulong SizeBytes { get; }

    bool IsReadOnly { get; }

    /// <summary>
    /// Discards are worth most in aligned multiples of this many bytes; smaller ones may do nothing.
    /// </summary>
    uint DiscardGranularityBytes { get; }

    void Read(ulong offset, Span<byte> destination);

    /// <summary>
    /// Reads one range into several pieces of memory; without copies where the format allows it.
    /// </summary>
    void Read(ulong offset, ReadOnlySpan<IoVector> destination);

    void Write(ulong offset, ReadOnlySpan<byte> source);

    /// <inheritdoc cref="Read(ulong, ReadOnlySpan{IoVector})"/>
    void Write(ulong offset, ReadOnlySpan<IoVector> source);

    /// <summary>The range reads as zeroes from now on. Costs neither time nor space in proportion to it where
    /// host and format allow.</summary>
    void WriteZeroes(ulong offset, ulong length);

    /// <summary>The range is of no use to the guest any more: its contents are undefined until written
    /// again, old
    /// or zero but never anybody else's.</summary>
    void Discard(ulong offset, ulong length);

    /// <summary>Returns when all that was written before is on stable storage.</summary>
    void Flush();

    /// <summary>Makes the disk larger; the new part reads as zeroes.</summary>
    /// <exception cref="DiskException">also when it would become smaller, with EINVAL</exception>
    void Resize(ulong bytes);
}
