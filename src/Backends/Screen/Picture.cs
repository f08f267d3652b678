using System;
using System.Drawing;
using System.Runtime.InteropServices;
using Ryokan.GuestMemory;

namespace Ryokan.Backends.Screen;

/// <summary>
/// A guest's pixels, by the frames that hold them. The guest changes them at any time; whoever reads copies once.
/// </summary>
internal sealed class Picture(GuestFrames frames, long[] pages, PictureMode mode)
{
    public PictureMode Mode => mode;

    /// <summary>Copies a part as 0x00RRGGBB, row after row.</summary>
    /// <param name="area">inside the picture</param>
    /// <param name="pixels">gets the area's pixels; rows <paramref name="pitch"/> apart</param>
    /// <param name="pitch">pixels</param>
    public void Read(Rectangle area, Span<uint> pixels, int pitch)
    {
        for (int y = 0; y < area.Height; y++)
        {
            Span<uint> row = pixels.Slice(y * pitch, area.Width);
            int from = mode.Offset + (area.Y + y) * mode.Stride + area.X * mode.PixelBytes;
            if (mode.Depth == 32)
            {
                Copy(from, MemoryMarshal.AsBytes(row));
                WithoutAlpha(row);
            }
            else
            {
                // Into the second half, and from there spread over the whole.
                Span<ushort> narrow = MemoryMarshal.Cast<uint, ushort>(row)[area.Width..];
                Copy(from, MemoryMarshal.AsBytes(narrow));
                Spread(narrow, row);
            }
        }
    }

    private static void WithoutAlpha(Span<uint> row)
    {
        foreach (ref uint pixel in row)
        {
            pixel &= 0xffffff;
        }
    }

    /// <summary>5:6:5 to 8:8:8, so that full intensity stays full.</summary>
    private static void Spread(ReadOnlySpan<ushort> narrow, Span<uint> wide)
    {
        for (int i = 0; i < wide.Length; i++)
        {
            uint p = narrow[i];
            uint r = p >> 11, g = (p >> 5) & 63, b = p & 31;
            wide[i] = ((r << 3 | r >> 2) << 16) | ((g << 2 | g >> 4) << 8) | (b << 3 | b >> 2);
        }
    }

    private void Copy(int from, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            Span<byte> source = frames.SpanAt(pages[from / GuestFrames.PageSize])[(from % GuestFrames.PageSize)..];
            int n = Math.Min(source.Length, destination.Length);
            source[..n].CopyTo(destination);
            destination = destination[n..];
            from += n;
        }
    }
}
