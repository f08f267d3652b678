using System;
using System.Threading;
using Ryokan.GuestMemory;

namespace Ryokan.Hypervisor.Time;

/// <summary>
/// A small structure in guest memory that the monitor keeps up to date, by frames: it may cross from one
/// page into another that is not adjacent. A guest that takes the frames away writes on its own memory.
/// </summary>
public sealed class GuestArea
{
    private readonly GuestFrames _frames;
    private readonly long _first, _second;
    private readonly int _offset;

    private GuestArea(GuestFrames frames, long first, long second, int offset)
    {
        _frames = frames;
        _first = first;
        _second = second;
        _offset = offset;
    }

    /// <summary>
    /// The area of <paramref name="length"/> bytes (at most a page) at a guest virtual address; null when
    /// <paramref name="translate"/> (virtual to machine address, null = not mapped) finds no frame of the
    /// domain behind every byte.
    /// </summary>
    public static GuestArea? At(GuestFrames frames, ulong va, int length, Func<ulong, ulong?> translate)
    {
        int offset = (int)(va & (GuestFrames.PageSize - 1));
        long first = IndexOf(frames, translate(va));
        bool crosses = offset + length > GuestFrames.PageSize;
        long second = crosses ? IndexOf(frames, translate(va - (ulong)offset + GuestFrames.PageSize)) : first;
        return first < 0 || second < 0 ? null : new GuestArea(frames, first, second, offset);
    }

    /// <summary>The area at a place within one frame.</summary>
    internal static GuestArea At(GuestFrames frames, long frameIndex, int offset) =>
        new(frames, frameIndex, frameIndex, offset);

    private static long IndexOf(GuestFrames frames, ulong? maddr) =>
        maddr is { } m ? frames.IndexOf(m >> GuestFrames.PageShift) : -1;

    /// <summary>Writes bytes at an offset into the area; visible before anything written later.</summary>
    internal void Write(int at, ReadOnlySpan<byte> bytes)
    {
        int start = _offset + at;
        int here = Math.Clamp(GuestFrames.PageSize - start, 0, bytes.Length);
        WriteFrame(_first, start, bytes[..here]);
        WriteFrame(_second, start + here - GuestFrames.PageSize, bytes[here..]);
        Interlocked.MemoryBarrier();
    }

    private void WriteFrame(long index, int offset, ReadOnlySpan<byte> bytes)
    {
        if (!bytes.IsEmpty)
        {
            bytes.CopyTo(_frames.SpanAt(index)[offset..]);
            _frames.NoteWritten(index, offset, bytes.Length);
        }
    }
}
