using System;
using System.Buffers.Binary;
using System.IO;
using System.IO.Compression;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// The ZRLE encoding of one connection (RFC 6143, 7.7.6): tiles of 64 times 64 pixels in one zlib stream that goes on
/// from rectangle to rectangle. Of the kinds of tiles it uses single colours, packed palettes and plain pixels, and
/// leaves runs to zlib.
/// </summary>
internal sealed class ZrleEncoder : IDisposable
{
    private const int TileSide = 64, MaxPalette = 16;
    private const byte PlainTile = 0, SolidTile = 1;

    private readonly MemoryStream _compressed = new();
    private readonly ZLibStream _zlib;
    private readonly uint[] _pixels = new uint[TileSide * TileSide];
    private readonly uint[] _palette = new uint[MaxPalette];
    private readonly byte[] _tile = new byte[1 + MaxPalette * 4 + TileSide * TileSide * 4];

    public ZrleEncoder() => _zlib = new ZLibStream(_compressed, CompressionLevel.Fastest, leaveOpen: true);

    /// <summary>Writes the data of one rectangle: its length and the compressed tiles.</summary>
    /// <param name="pixels">0x00RRGGBB, row after row</param>
    /// <param name="width">of the rectangle</param>
    /// <param name="format">of the viewer</param>
    /// <param name="output">gets the data</param>
    public void Encode(ReadOnlySpan<uint> pixels, int width, RfbPixelFormat format, MemoryStream output)
    {
        int height = pixels.Length / width;
        _compressed.SetLength(0);
        for (int top = 0; top < height; top += TileSide)
        {
            for (int left = 0; left < width; left += TileSide)
            {
                int w = Math.Min(TileSide, width - left), h = Math.Min(TileSide, height - top);
                for (int y = 0; y < h; y++)
                {
                    for (int x = 0; x < w; x++)
                    {
                        _pixels[y * w + x] = format.Convert(pixels[(top + y) * width + left + x]);
                    }
                }
                _zlib.Write(_tile, 0, EncodeTile(w, h, format));
            }
        }
        _zlib.Flush();
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, (int)_compressed.Length);
        output.Write(length);
        output.Write(_compressed.GetBuffer(), 0, (int)_compressed.Length);
    }

    /// <summary>Lays the tile out; returns its bytes.</summary>
    private int EncodeTile(int width, int height, RfbPixelFormat format)
    {
        ReadOnlySpan<uint> pixels = _pixels.AsSpan(0, width * height);
        int colours = FindPalette(pixels);
        Span<byte> place = _tile.AsSpan(1);
        if (colours > MaxPalette)
        {
            _tile[0] = PlainTile;
            foreach (uint pixel in pixels)
            {
                place = format.PutCompact(place, pixel);
            }
            return _tile.Length - place.Length;
        }
        _tile[0] = colours == 1 ? SolidTile : (byte)colours;
        foreach (uint colour in _palette.AsSpan(0, colours))
        {
            place = format.PutCompact(place, colour);
        }
        return _tile.Length - (colours == 1 ? place : Pack(pixels, width, colours, place)).Length;
    }

    /// <summary>Fills the palette; its size, or more than fits.</summary>
    private int FindPalette(ReadOnlySpan<uint> pixels)
    {
        int colours = 0;
        uint last = ~pixels[0];
        foreach (uint pixel in pixels)
        {
            if (pixel != last && !_palette.AsSpan(0, colours).Contains(pixel))
            {
                if (colours == MaxPalette)
                {
                    return MaxPalette + 1;
                }
                _palette[colours++] = pixel;
            }
            last = pixel;
        }
        return colours;
    }

    /// <summary>Indices of 1, 2 or 4 bits, leftmost in the highest bits; each row begins a byte.</summary>
    private Span<byte> Pack(ReadOnlySpan<uint> pixels, int width, int colours, Span<byte> place)
    {
        int bits = colours == 2 ? 1 : colours <= 4 ? 2 : 4;
        for (int row = 0; row < pixels.Length; row += width)
        {
            int free = 8;
            place[0] = 0;
            foreach (uint pixel in pixels.Slice(row, width))
            {
                if (free == 0)
                {
                    place = place[1..];
                    place[0] = 0;
                    free = 8;
                }
                free -= bits;
                place[0] |= (byte)(_palette.AsSpan(0, colours).IndexOf(pixel) << free);
            }
            place = place[1..];
        }
        return place;
    }

    public void Dispose()
    {
        _zlib.Dispose();
        _compressed.Dispose();
    }
}
