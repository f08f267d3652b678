using System;
using System.Collections.Immutable;
using System.Drawing;
using System.Threading;

namespace Ryokan.Backends.Screen;

/// <summary>Somebody who looks at a screen. Called on the guest's behalf: returns at once.</summary>
public interface IScreenViewer
{
    /// <summary>Pixels in that part have changed, or may have.</summary>
    void Damaged(Rectangle area);

    /// <summary>The screen has another size; all of it has changed.</summary>
    void Resized();
}

/// <summary>
/// What is on a guest's screen, between its framebuffer and those who look at it. Black while the guest has no
/// driver for it. Any thread.
/// </summary>
public sealed class ScreenSurface
{
    /// <summary>What is shown before the guest says.</summary>
    private static readonly Size s_firstSize = new(800, 600);

    private readonly Lock _lock = new();
    private Picture? _picture;
    private Size _size = s_firstSize;
    private ImmutableArray<IScreenViewer> _viewers = [];

    /// <summary>Called when the first viewer has come or the last one gone; null: nobody cares.</summary>
    internal Action? ViewersChanged { get; set; }

    /// <summary>Pixels.</summary>
    public Size Size
    {
        get
        {
            lock (_lock)
            {
                return _size;
            }
        }
    }

    public bool HasViewers => !_viewers.IsEmpty;

    public void Add(IScreenViewer viewer) => ChangeViewers(v => v.Add(viewer));

    public void Remove(IScreenViewer viewer) => ChangeViewers(v => v.Remove(viewer));

    private void ChangeViewers(Func<ImmutableArray<IScreenViewer>, ImmutableArray<IScreenViewer>> change)
    {
        bool had = HasViewers;
        ImmutableInterlocked.Update(ref _viewers, change);
        if (HasViewers != had)
        {
            ViewersChanged?.Invoke();
        }
    }

    /// <summary>Copies a part as 0x00RRGGBB, row after row; what lies outside the picture is black.</summary>
    /// <param name="area">its corner not negative</param>
    /// <param name="pixels">width times height of the area</param>
    public void Read(Rectangle area, Span<uint> pixels)
    {
        lock (_lock)
        {
            Rectangle inside = Rectangle.Intersect(area, new Rectangle(Point.Empty, _size));
            if (inside != area || _picture == null)
            {
                pixels[..(area.Width * area.Height)].Clear();
            }
            if (!inside.IsEmpty)
            {
                _picture?.Read(inside, pixels, area.Width);
            }
        }
    }

    /// <summary>
    /// Shows another picture, or none: then nobody reads the guest's memory any more when this returns.
    /// </summary>
    internal void Show(Picture? picture)
    {
        bool resized;
        Size size;
        lock (_lock)
        {
            size = picture == null ? _size : new Size(picture.Mode.Width, picture.Mode.Height);
            resized = size != _size;
            (_picture, _size) = (picture, size);
        }
        foreach (IScreenViewer viewer in _viewers)
        {
            if (resized)
            {
                viewer.Resized();
            }
            else
            {
                viewer.Damaged(new Rectangle(Point.Empty, size));
            }
        }
    }

    /// <summary>Tells the viewers that a part has changed.</summary>
    internal void Damage(Rectangle area)
    {
        foreach (IScreenViewer viewer in _viewers)
        {
            viewer.Damaged(area);
        }
    }
}
