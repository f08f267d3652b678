using System.Collections.Generic;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// The keys and buttons that one viewer holds, and how its keysyms become keys. One thread. Viewers with another
/// keyboard than the guest's send characters with a state of Shift and AltGr of their own; the state is put right around
/// such a key.
/// </summary>
internal sealed class ViewerKeyboard(ScreenInput input, KeyMap keys)
{
    private readonly HashSet<int> _held = [];
    private bool _capsLock;
    private uint _buttons;

    /// <summary>A key by what it means.</summary>
    public void Keysym(uint keysym, bool down)
    {
        if (!keys.TryFind(keysym, out KeyStroke stroke))
        {
            return;
        }
        bool left = _held.Contains(KeyNames.LeftShift), right = _held.Contains(KeyNames.RightShift);
        // With CapsLock it is for the guest to say what a letter becomes.
        bool free = _capsLock && keysym < 0x100 && char.IsLetter((char)keysym);
        bool changeShift = down && stroke.Shift is { } shift && shift != (left || right) && !free;
        bool changeLevel3 = down && stroke.Level3 is { } level3 && level3 != _held.Contains(KeyNames.RightAlt);
        if (changeShift)
        {
            SetShift(stroke.Shift == true, left, right);
        }
        if (changeLevel3)
        {
            input.Key(KeyNames.RightAlt, stroke.Level3 == true);
        }
        Key(stroke.Key, down);
        if (changeLevel3)
        {
            input.Key(KeyNames.RightAlt, stroke.Level3 == false);
        }
        if (changeShift)
        {
            SetShift(stroke.Shift == false, left, right);
        }
    }

    /// <summary>Presses Shift for a moment, or lets go of those that are held; and back.</summary>
    private void SetShift(bool down, bool left, bool right)
    {
        if (left || !right)
        {
            input.Key(KeyNames.LeftShift, down);
        }
        if (right)
        {
            input.Key(KeyNames.RightShift, down);
        }
    }

    /// <summary>A key by where it is.</summary>
    /// <param name="code">scan code of set 1, bit 7 for e0</param>
    /// <param name="keysym">for codes that are not known</param>
    /// <param name="down">it went down</param>
    public void ScanCode(uint code, uint keysym, bool down)
    {
        int key = KeyNames.OfScanCode(code);
        if (key == 0)
        {
            Keysym(keysym, down);
        }
        else
        {
            Key(key, down);
        }
    }

    private void Key(int key, bool down)
    {
        bool was = down ? !_held.Add(key) : _held.Remove(key);
        if (down || was)
        {
            _capsLock ^= key == KeyNames.CapsLock && down && !was;
            input.Key(key, down, repeated: down && was);
        }
    }

    public void Pointer(int x, int y, uint buttons)
    {
        input.Pointer(x, y, buttons, _buttons);
        _buttons = buttons;
        _place = (x, y);
    }

    private (int X, int Y) _place;

    /// <summary>Lets go of everything: the viewer has gone.</summary>
    public void ReleaseAll()
    {
        foreach (int key in _held)
        {
            input.Key(key, down: false);
        }
        _held.Clear();
        if (_buttons != 0)
        {
            Pointer(_place.X, _place.Y, 0);
        }
    }
}
