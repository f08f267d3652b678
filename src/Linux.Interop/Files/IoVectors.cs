using System;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Files;

/// <summary>What is done with pieces of memory beside handing them to the kernel.</summary>
public static unsafe class IoVectors
{
    /// <summary>
    /// The pieces that hold bytes [<paramref name="skip"/>, skip + <paramref name="length"/>) of all of them.
    /// </summary>
    /// <param name="pieces">pieces that are at least that long together</param>
    /// <param name="skip">in bytes</param>
    /// <param name="length">in bytes</param>
    /// <param name="room">where the answer may be put; as many elements as there are pieces are
    /// enough</param>
    public static ReadOnlySpan<IoVector> Slice(
        ReadOnlySpan<IoVector> pieces, ulong skip, ulong length, Span<IoVector> room)
    {
        int count = 0;
        foreach (IoVector piece in pieces)
        {
            if (skip >= piece.Length)
            {
                skip -= piece.Length;
                continue;
            }
            if (length == 0)
            {
                break;
            }
            nuint part = (nuint)ulong.Min(length, piece.Length - skip);
            room[count++] = new IoVector(piece.Address + (nint)skip, part);
            skip = 0;
            length -= part;
        }
        return length == 0 ? room[..count]
            : throw new ArgumentOutOfRangeException(nameof(length), "the pieces are shorter than that");
    }

    /// <summary>Zeroes all pieces.</summary>
    public static void Clear(ReadOnlySpan<IoVector> pieces)
    {
        foreach (IoVector piece in pieces)
        {
            NativeMemory.Clear((void*)piece.Address, piece.Length);
        }
    }

    /// <summary>Fills the pieces, which are as long together, from <paramref name="source"/>.</summary>
    public static void CopyFrom(ReadOnlySpan<IoVector> pieces, ReadOnlySpan<byte> source)
    {
        foreach (IoVector piece in pieces)
        {
            int length = checked((int)piece.Length);
            source[..length].CopyTo(new Span<byte>((void*)piece.Address, length));
            source = source[length..];
        }
    }

    /// <summary>
    /// Keeps a span in its place while <paramref name="action"/> uses it as a piece of memory.
    /// </summary>
    public static void Pin<TState>(ReadOnlySpan<byte> bytes, TState state, Action<IoVector, TState> action)
    {
        fixed (byte* start = bytes)
        {
            action(new IoVector((nint)start, (nuint)bytes.Length), state);
        }
    }
}
