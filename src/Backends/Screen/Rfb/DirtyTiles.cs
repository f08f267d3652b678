using System;
using System.Collections;
using System.Collections.Generic;
using System.Drawing;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// Which parts of a screen a viewer has not got yet: one bit for each tile, so that it needs the same room whatever
/// happens while the viewer is slow. Guarded by its owner.
/// </summary>
internal sealed class DirtyTiles
{
    private const int TileWidth = 64, TileHeight = 16;

    /// <summary>Most pixels of a rectangle that <see cref="Take"/> gives.</summary>
    public const int MaxPixels = 1 << 18;

    private readonly int _columns, _rows;
    private readonly BitArray _dirty;
    private readonly Size _size;

    /// <summary>All of the screen is dirty.</summary>
    /// <param name="size">pixels, at most PictureMode.MaxSide each</param>
    public DirtyTiles(Size size)
    {
        _size = size;
        _columns = (size.Width + TileWidth - 1) / TileWidth;
        _rows = (size.Height + TileHeight - 1) / TileHeight;
        _dirty = new BitArray(_columns * _rows, true);
        Any = true;
    }

    public bool Any { get; private set; }

    public void Add(Rectangle area)
    {
        area.Intersect(new Rectangle(Point.Empty, _size));
        if (area.IsEmpty)
        {
            return;
        }
        for (int row = area.Top / TileHeight; row <= (area.Bottom - 1) / TileHeight; row++)
        {
            for (int column = area.Left / TileWidth; column <= (area.Right - 1) / TileWidth; column++)
            {
                _dirty[row * _columns + column] = true;
            }
        }
        Any = true;
    }

    /// <summary>Rectangles that cover all dirty tiles and nothing else; they are clean then.</summary>
    public List<Rectangle> Take()
    {
        List<Rectangle> areas = [];
        for (int row = 0; row < _rows; row++)
        {
            for (int column = 0; column < _columns; column++)
            {
                if (_dirty[row * _columns + column])
                {
                    areas.Add(TakeFrom(row, column));
                }
            }
        }
        Any = false;
        return areas;
    }

    /// <summary>The longest run to the right, and as many rows below as have all of it dirty.</summary>
    private Rectangle TakeFrom(int row, int column)
    {
        int right = column;
        while (right < _columns && _dirty[row * _columns + right])
        {
            right++;
        }
        int width = (right - column) * TileWidth, bottom = row;
        do
        {
            for (int c = column; c < right; c++)
            {
                _dirty[bottom * _columns + c] = false;
            }
            bottom++;
        }
        while (bottom < _rows && (bottom + 1 - row) * TileHeight * width <= MaxPixels
            && IsRun(bottom, column, right));
        return Rectangle.Intersect(new Rectangle(Point.Empty, _size), new Rectangle(
            column * TileWidth, row * TileHeight, width, (bottom - row) * TileHeight));
    }

    private bool IsRun(int row, int from, int to)
    {
        for (int c = from; c < to; c++)
        {
            if (!_dirty[row * _columns + c])
            {
                return false;
            }
        }
        return true;
    }
}
