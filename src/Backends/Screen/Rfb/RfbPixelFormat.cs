using System;
using System.Buffers.Binary;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>The form in which a viewer wants pixels (RFC 6143, 7.4); true colour only.</summary>
internal sealed class RfbPixelFormat
{
    /// <summary>Bytes of PIXEL_FORMAT on the wire.</summary>
    public const int WireBytes = 16;

    private const int Red = 0, Green = 1, Blue = 2, Channels = 3;

    private readonly bool _bigEndian;

    /// <summary>What each of 256 intensities of a channel adds to a pixel.</summary>
    private readonly uint[][] _intensities = new uint[Channels][];

    private RfbPixelFormat(int pixelBytes, bool bigEndian, ReadOnlySpan<ushort> max, ReadOnlySpan<byte> shift)
    {
        (PixelBytes, _bigEndian) = (pixelBytes, bigEndian);
        uint used = 0;
        for (int c = 0; c < Channels; c++)
        {
            _intensities[c] = new uint[256];
            for (uint i = 0; i < 256; i++)
            {
                _intensities[c][i] = (i * max[c] + 127) / 255 << shift[c];
            }
            used |= (uint)max[c] << shift[c];
        }
        bool low = (used & 0xff000000) == 0, high = (used & 0xff) == 0;
        CompactBytes = pixelBytes == 4 && (low || high) ? 3 : pixelBytes;
        _compactShift = CompactBytes == 3 && !low ? 8 : 0;
    }

    private readonly int _compactShift;

    /// <summary>What a viewer gets that does not ask: 32 bits, 8:8:8, little endian.</summary>
    public static RfbPixelFormat Default { get; } = new(4, false, [255, 255, 255], [16, 8, 0]);

    /// <summary>The same on the wire.</summary>
    public static ReadOnlySpan<byte> DefaultOnWire => [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

    /// <summary>Bytes of a PIXEL.</summary>
    public int PixelBytes { get; }

    /// <summary>Bytes of a CPIXEL (7.7.5).</summary>
    public int CompactBytes { get; }

    /// <summary>Reads what a viewer sent; null when it is no true colour format.</summary>
    public static RfbPixelFormat? Parse(ReadOnlySpan<byte> wire)
    {
        int bits = wire[0];
        bool trueColour = wire[3] != 0;
        Span<ushort> max = stackalloc ushort[Channels];
        for (int c = 0; c < Channels; c++)
        {
            max[c] = BinaryPrimitives.ReadUInt16BigEndian(wire[(4 + c * 2)..]);
            if (wire[10 + c] >= bits)
            {
                return null;
            }
        }
        return trueColour && bits is 8 or 16 or 32
            ? new RfbPixelFormat(bits / 8, wire[2] != 0, max, wire.Slice(10, Channels)) : null;
    }

    /// <summary>A pixel's value in this format.</summary>
    /// <param name="rgb">0x00RRGGBB</param>
    public uint Convert(uint rgb) => _intensities[Red][rgb >> 16 & 255] | _intensities[Green][rgb >> 8 & 255]
        | _intensities[Blue][rgb & 255];

    /// <summary>Writes a converted pixel as PIXEL; returns what is left of the place.</summary>
    public Span<byte> Put(Span<byte> place, uint pixel) => Put(place, pixel, PixelBytes);

    /// <summary>Writes a converted pixel as CPIXEL; returns what is left of the place.</summary>
    public Span<byte> PutCompact(Span<byte> place, uint pixel) => Put(place, pixel >> _compactShift, CompactBytes);

    private Span<byte> Put(Span<byte> place, uint pixel, int bytes)
    {
        for (int i = 0; i < bytes; i++)
        {
            place[_bigEndian ? bytes - 1 - i : i] = (byte)pixel;
            pixel >>= 8;
        }
        return place[bytes..];
    }
}
