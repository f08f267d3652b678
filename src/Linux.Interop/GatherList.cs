using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop;

/// <summary>
/// Pieces of memory that are written or read in one call (writev(2), readv(2)). The pieces must lie in memory
/// that neither moves nor goes while they are listed: guest frames and <see cref="HostBuffer"/>s, not managed
/// arrays.
/// </summary>
public sealed unsafe partial class GatherList : IDisposable
{
    private struct Piece
    {
        public byte* Start;
        public nuint Length;
    }

    private readonly Piece* _pieces;
    private readonly int _capacity;

    [LibraryImport("libc", EntryPoint = "writev", SetLastError = true)]
    private static partial nint Writev(SafeFileHandle fd, Piece* pieces, int count);

    /// <param name="capacity">pieces at most; 1024 is the kernel's limit (IOV_MAX)</param>
    public GatherList(int capacity)
    {
        _capacity = capacity;
        _pieces = (Piece*)NativeMemory.Alloc((nuint)capacity, (nuint)sizeof(Piece));
    }

    public int Count { get; private set; }

    /// <summary>Bytes of all pieces.</summary>
    public long Length { get; private set; }

    /// <summary>
    /// Empties the list but for a first piece of no bytes, a place for <see cref="SetFirst"/>.
    /// </summary>
    public void Clear()
    {
        (Count, Length) = (0, 0);
        Add(default);
    }

    /// <summary>Puts a header in front of everything.</summary>
    public void SetFirst(ReadOnlySpan<byte> piece)
    {
        Length += piece.Length - (long)_pieces[0].Length;
        _pieces[0] = Of(piece);
    }

    public void Add(ReadOnlySpan<byte> piece)
    {
        if (Count == _capacity)
        {
            throw new InvalidOperationException("the gather list is full");
        }
        _pieces[Count++] = Of(piece);
        Length += piece.Length;
    }

    private static Piece Of(ReadOnlySpan<byte> piece) => new()
    {
        Start = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(piece)),
        Length = (nuint)piece.Length,
    };

    /// <summary>Copies all pieces, one after the other.</summary>
    public void CopyTo(Span<byte> destination)
    {
        for (int i = 0; i < Count; i++)
        {
            ReadOnlySpan<byte> piece = new(_pieces[i].Start, (int)_pieces[i].Length);
            piece.CopyTo(destination);
            destination = destination[piece.Length..];
        }
    }

    /// <returns>bytes written, or the negative error number</returns>
    public long Write(SafeFileHandle descriptor)
    {
        nint result = Writev(descriptor, _pieces, Count);
        return result >= 0 ? result : -Marshal.GetLastPInvokeError();
    }

    public void Dispose() => NativeMemory.Free(_pieces);
}
