using System;
using System.Drawing;

namespace Ryokan.Backends.Screen;

/// <summary>
/// Finds what changed on the screen of a front end that does not say: by comparing checksums of bands of rows with
/// those of last time, which takes no copy of the screen. One thread.
/// </summary>
internal sealed class ChangeFinder(ScreenSurface surface)
{
    /// <summary>Rows that are compared, and reported, together.</summary>
    private const int BandRows = 16;

    /// <summary>Of the FNV-1a hash, 64 bits; here it takes a pixel at a time.</summary>
    private const ulong HashStart = 0xcbf29ce484222325, HashPrime = 0x100000001b3;

    private readonly ulong[] _before = new ulong[PictureMode.MaxSide / BandRows];
    private uint[] _band = [];

    /// <summary>Reports every band of rows that is not what it was at the last call.</summary>
    public void Look()
    {
        Size size = surface.Size;
        if (_band.Length < size.Width * BandRows)
        {
            _band = new uint[size.Width * BandRows];
        }
        for (int y = 0; y < size.Height; y += BandRows)
        {
            Rectangle area = new(0, y, size.Width, Math.Min(BandRows, size.Height - y));
            Span<uint> pixels = _band.AsSpan(0, area.Width * area.Height);
            surface.Read(area, pixels);
            ulong now = Hash(pixels);
            if (now != _before[y / BandRows])
            {
                _before[y / BandRows] = now;
                surface.Damage(area);
            }
        }
    }

    private static ulong Hash(ReadOnlySpan<uint> pixels)
    {
        ulong hash = HashStart;
        foreach (uint pixel in pixels)
        {
            hash = (hash ^ pixel) * HashPrime;
        }
        return hash;
    }
}
