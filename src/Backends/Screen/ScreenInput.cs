using System;
using System.Collections.Generic;
using System.Drawing;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Backends.Rings;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Screen;

/// <summary>What kind of pointer events a front end asked for (kbdif.h).</summary>
internal enum PointerKind
{
    /// <summary>Movements.</summary>
    Relative,

    /// <summary>Places, in pixels of the screen.</summary>
    Absolute,

    /// <summary>Places, 0 to 0x7fff whatever the size of the screen.</summary>
    Raw,
}

/// <summary>
/// What is typed and pointed at a guest, between the viewers and its keyboard device. Any thread. What waits for the
/// guest is bounded: a guest that does not take it misses keys, but never the release of one that it saw pressed.
/// </summary>
public sealed class ScreenInput(ScreenSurface surface)
{
    /// <summary>Events that wait for the guest; releases of keys may come on top.</summary>
    private const int MaxWaiting = 256;

    /// <summary>Linux' numbers of buttons and the last key (linux/input-event-codes.h).</summary>
    private const int ButtonLeft = 0x110, ButtonRight = 0x111, ButtonMiddle = 0x112, KeyMax = 0x2ff;

    /// <summary>Bits of a button mask as RFC 6143 (7.5.5) counts them; 3 and 4 are the wheel.</summary>
    private const int WheelUpBit = 3, WheelDownBit = 4;

    private const int RawMax = 0x7fff;

    private static readonly int[] s_buttons = [ButtonLeft, ButtonMiddle, ButtonRight];

    private readonly Lock _lock = new();
    private readonly Queue<byte[]> _waiting = new();

    /// <summary>Viewers that hold each key of which the guest saw the press.</summary>
    private readonly Dictionary<int, int> _held = [];

    private bool _lastIsMotion;
    private byte[]? _last;
    private Point _pointer;
    private PointerKind _kind;
    private Action? _wake;

    /// <summary>The guest's device is there; what happened before is forgotten.</summary>
    internal void Open(PointerKind kind, Action wake)
    {
        lock (_lock)
        {
            Forget();
            (_kind, _wake) = (kind, wake);
        }
    }

    /// <summary>It is gone: whatever is typed goes nowhere.</summary>
    internal void Close()
    {
        lock (_lock)
        {
            Forget();
            _wake = null;
        }
    }

    private void Forget()
    {
        _waiting.Clear();
        _held.Clear();
        (_last, _lastIsMotion) = (null, false);
    }

    /// <summary>The event that the guest gets next, to be dropped when it has it; null: none.</summary>
    internal byte[]? Next()
    {
        lock (_lock)
        {
            return _waiting.TryPeek(out byte[]? next) ? next : null;
        }
    }

    /// <summary>Drops the event that <see cref="Next"/> gave, unless all were forgotten meanwhile.</summary>
    internal void Drop(byte[] taken)
    {
        lock (_lock)
        {
            if (_waiting.TryPeek(out byte[]? next) && ReferenceEquals(next, taken))
            {
                _waiting.Dequeue();
            }
            if (ReferenceEquals(_last, taken))
            {
                _last = null;
            }
        }
    }

    /// <summary>A key, or a mouse button, went down (again, when it repeats) or up.</summary>
    /// <param name="key">Linux' number</param>
    /// <param name="down">it went down</param>
    /// <param name="repeated">the same viewer holds it already</param>
    public void Key(int key, bool down, bool repeated = false)
    {
        if (key is <= 0 or > KeyMax)
        {
            return;
        }
        lock (_lock)
        {
            if (_wake == null || !Count(key, down, repeated))
            {
                return;
            }
            XenkbdKey e = new() { Type = KeyboardEvent.TypeKey, Pressed = down ? (byte)1 : (byte)0, Keycode = (uint)key };
            Put(MemoryMarshal.AsBytes(new ReadOnlySpan<XenkbdKey>(in e)), isMotion: false);
        }
    }

    /// <summary>False when the guest is not to be told: others hold the key, or it never saw the press.</summary>
    private bool Count(int key, bool down, bool repeated)
    {
        bool held = _held.TryGetValue(key, out int holders);
        if (down)
        {
            if (_waiting.Count >= MaxWaiting)
            {
                return false;
            }
            _held[key] = repeated && held ? holders : holders + 1;
            return true;
        }
        if (!held)
        {
            return false;
        }
        if (holders > 1)
        {
            _held[key] = holders - 1;
            return false;
        }
        return _held.Remove(key);
    }

    /// <summary>The pointer is somewhere, and buttons of it changed.</summary>
    /// <param name="x">pixels; clipped to the screen</param>
    /// <param name="y">pixels; clipped to the screen</param>
    /// <param name="buttons">bits: 0 left, 1 middle, 2 right, 3 wheel up, 4 wheel down</param>
    /// <param name="before">buttons of the same viewer at its last call</param>
    public void Pointer(int x, int y, uint buttons, uint before)
    {
        Size size = surface.Size;
        Point place = new(Math.Clamp(x, 0, size.Width - 1), Math.Clamp(y, 0, size.Height - 1));
        uint pressed = buttons & ~before;
        int wheel = (int)(pressed >> WheelDownBit & 1) - (int)(pressed >> WheelUpBit & 1);
        lock (_lock)
        {
            if (_wake != null && (place != _pointer || wheel != 0))
            {
                Move(place, size, wheel);
            }
        }
        for (int bit = 0; bit < s_buttons.Length; bit++)
        {
            if (((buttons ^ before) >> bit & 1) != 0)
            {
                Key(s_buttons[bit], (buttons >> bit & 1) != 0);
            }
        }
    }

    private void Move(Point place, Size size, int wheel)
    {
        if (_kind == PointerKind.Relative)
        {
            XenkbdMotion motion = new()
            {
                Type = KeyboardEvent.TypeMotion, RelX = place.X - _pointer.X, RelY = place.Y - _pointer.Y, RelZ = wheel,
            };
            if (!Put(MemoryMarshal.AsBytes(new ReadOnlySpan<XenkbdMotion>(in motion)), isMotion: false))
            {
                // It stays where the guest saw it, and the next movement makes up for this one.
                return;
            }
        }
        else
        {
            bool raw = _kind == PointerKind.Raw;
            XenkbdPosition position = new()
            {
                Type = KeyboardEvent.TypePos,
                AbsX = raw ? place.X * RawMax / Math.Max(1, size.Width - 1) : place.X,
                AbsY = raw ? place.Y * RawMax / Math.Max(1, size.Height - 1) : place.Y,
                RelZ = wheel,
            };
            Put(MemoryMarshal.AsBytes(new ReadOnlySpan<XenkbdPosition>(in position)), isMotion: wheel == 0);
        }
        _pointer = place;
    }

    /// <summary>A place that still waits is replaced by the next one, as long as nothing came between.</summary>
    private bool Put(ReadOnlySpan<byte> e, bool isMotion)
    {
        if (isMotion && _lastIsMotion && _last != null && _waiting.Count > 1)
        {
            e.CopyTo(_last);
            return true;
        }
        bool release = e[0] == KeyboardEvent.TypeKey && e[1] == 0;
        if (_waiting.Count >= MaxWaiting && !release)
        {
            return false;
        }
        _last = new byte[EventRings.EventBytes];
        e.CopyTo(_last);
        _lastIsMotion = isMotion;
        _waiting.Enqueue(_last);
        _wake!();
        return true;
    }
}
