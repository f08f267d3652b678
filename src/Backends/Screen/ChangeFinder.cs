using System;
using System.Drawing;

namespace Ryokan.Backends.Screen;

/// <summary>
/// Finds what changed on the screen of a front end that does not say: by comparing with what was there last time.
/// One thread.
/// </summary>
internal sealed class ChangeFinder(ScreenSurface surface)
{
    /// <summary>Rows that are compared, and reported, together.</summary>
    private const int BandRows = 16;

    private Size _size;
    private uint[] _before = [];
    private uint[] _band = [];

    /// <summary>Reports every band of rows that is not what it was at the last call.</summary>
    public void Look()
    {
        Size size = surface.Size;
        if (size != _size)
        {
            _size = size;
            _before = new uint[size.Width * size.Height];
            _band = new uint[size.Width * BandRows];
        }
        for (int y = 0; y < size.Height; y += BandRows)
        {
            Rectangle area = new(0, y, size.Width, Math.Min(BandRows, size.Height - y));
            surface.Read(area, _band);
            Span<uint> now = _band.AsSpan(0, area.Width * area.Height);
            Span<uint> before = _before.AsSpan(y * size.Width, now.Length);
            if (!now.SequenceEqual(before))
            {
                now.CopyTo(before);
                surface.Damage(area);
            }
        }
    }
}
