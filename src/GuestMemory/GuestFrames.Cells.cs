using System;
using System.Runtime.CompilerServices;
using Ryokan.Linux.Interop;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.GuestMemory;

/// <summary>
/// Single cells of guest memory by reference, for atomic access from code that may not be unsafe. The
/// frame index must come from <see cref="IndexOf"/> and the cell lie inside the frame (asserted); the
/// memory lives as long as the domain's frames.
/// </summary>
public sealed unsafe partial class GuestFrames
{
    public ref byte ByteAt(long index, int offset) => ref *Cell(index, offset, 1);

    /// <summary>A 32-bit cell; <paramref name="offset"/> must be a multiple of 4.</summary>
    public ref uint UInt32At(long index, int offset) => ref *(uint*)Cell(index, offset, 4);

    /// <summary>A 64-bit cell; <paramref name="offset"/> must be a multiple of 8.</summary>
    public ref ulong UInt64At(long index, int offset) => ref *(ulong*)Cell(index, offset, 8);

    /// <summary>One whole frame by its dense index.</summary>
    public Span<byte> SpanAt(long index) => new(Cell(index, 0, 1), PageSize);

    /// <summary>
    /// Where a part of a frame lies in this process, for scattered reads and gathered writes by the host's
    /// kernel. Valid as long as the domain's frames; the guest may change the bytes at any time.
    /// </summary>
    public IoVector VectorAt(long index, int offset, int length)
    {
        if (length < 0 || length > PageSize - offset)
        {
            ThrowOutside(index, offset + length);
        }
        return new IoVector((nint)Cell(index, 0, 1) + offset, (nuint)length);
    }

    /// <summary>Gives a frame's memory back to the host; it reads as zero afterwards. False when the host refuses.</summary>
    public bool Discard(long index) =>
        Libc.Madvise((nint)Cell(index, 0, 1), PageSize, _fd < 0 ? Libc.MadviseDontNeed : Libc.MadviseRemove) == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private byte* Cell(long index, int offset, int size)
    {
        if ((ulong)index >= TotalFrames || (uint)offset > PageSize - size || (offset & (size - 1)) != 0)
        {
            ThrowOutside(index, offset);
        }
        return _base + (index << PageShift) + offset;
    }

    private static void ThrowOutside(long index, int offset) =>
        throw new ArgumentOutOfRangeException(nameof(index), $"cell {offset} of frame index {index}");
}
