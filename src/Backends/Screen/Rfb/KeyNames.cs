using System.Collections.Generic;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// What keys make on a US keyboard, which have the same name on all (keysyms: X11/keysymdef.h), and which key a scan
/// code is. Keys have Linux' numbers (linux/input-event-codes.h).
/// </summary>
internal static class KeyNames
{
    public const int LeftShift = 42, RightShift = 54, CapsLock = 58, RightAlt = 100;

    /// <summary>Rows of a US keyboard's main block: number of the leftmost key, and what its keys make, also with
    /// Shift.</summary>
    public static readonly (int First, string Plain, string Shifted)[] UsRows =
    [
        (2, "1234567890-=", "!@#$%^&*()_+"),
        (16, "qwertyuiop[]", "QWERTYUIOP{}"),
        (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
        (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
        (57, " ", " "),
    ];

    /// <summary>Keys that make no character: keysym, key.</summary>
    private static readonly (uint Keysym, int Key)[] s_named =
    [
        (0xff08, 14), (0xff09, 15), (0xfe20, 15), (0xff0d, 28), (0xff0a, 28), (0xff1b, 1), (0xffff, 111), // Backspace to Delete
        (0xff50, 102), (0xff51, 105), (0xff52, 103), (0xff53, 106), (0xff54, 108), // Home, arrows
        (0xff55, 104), (0xff56, 109), (0xff57, 107), (0xff63, 110), // PageUp, PageDown, End, Insert
        (0xff13, 119), (0xff6b, 119), (0xff14, 70), (0xff15, 99), (0xff61, 99), // Pause, Break, ScrollLock, SysRq, Print
        (0xff67, 127), (0xff7f, 69), (0xffe5, CapsLock), // Menu, NumLock
        (0xffe1, LeftShift), (0xffe2, RightShift), (0xffe3, 29), (0xffe4, 97), // Shift, Control
        (0xffe7, 125), (0xffe8, 126), (0xffe9, 56), (0xffea, RightAlt), (0xffeb, 125), (0xffec, 126), // Meta, Alt, Super
        (0xff7e, RightAlt), (0xfe03, RightAlt), // Mode switch, level 3: the right Alt key
        (0xff8d, 96), (0xff95, 71), (0xff96, 75), (0xff97, 72), (0xff98, 77), (0xff99, 80), // Keypad without NumLock
        (0xff9a, 73), (0xff9b, 81), (0xff9c, 79), (0xff9d, 76), (0xff9e, 82), (0xff9f, 83),
        (0xffaa, 55), (0xffab, 78), (0xffac, 121), (0xffad, 74), (0xffae, 83), (0xffaf, 98), (0xffbd, 117),
        (0xffb0, 82), (0xffb1, 79), (0xffb2, 80), (0xffb3, 81), (0xffb4, 75), (0xffb5, 76), // Keypad 0 to 9
        (0xffb6, 77), (0xffb7, 71), (0xffb8, 72), (0xffb9, 73),
        (0x1008ff11, 114), (0x1008ff12, 113), (0x1008ff13, 115), // Volume
    ];

    /// <summary>Keys whose scan code begins with e0: second byte, key.</summary>
    private static readonly (int Code, int Key)[] s_extended =
    [
        (0x1c, 96), (0x1d, 97), (0x20, 113), (0x2e, 114), (0x30, 115), (0x35, 98), (0x37, 99), (0x38, 100), (0x46, 119),
        (0x47, 102), (0x48, 103), (0x49, 104), (0x4b, 105), (0x4d, 106), (0x4f, 107), (0x50, 108), (0x51, 109),
        (0x52, 110), (0x53, 111), (0x5b, 125), (0x5c, 126), (0x5d, 127), (0x5e, 116),
    ];

    /// <summary>Keys of set 1 that Linux does not number as it: the Japanese ones, and some rarities.</summary>
    private static readonly (int Code, int Key)[] s_odd =
        [(0x54, 99), (0x59, 117), (0x70, 93), (0x73, 89), (0x79, 92), (0x7b, 94), (0x7d, 124), (0x7e, 121)];

    /// <summary>Keys that make no character, by their keysyms.</summary>
    public static Dictionary<uint, KeyStroke> Named()
    {
        Dictionary<uint, KeyStroke> keys = [];
        foreach ((uint keysym, int key) in s_named)
        {
            keys.Add(keysym, new KeyStroke(key));
        }
        for (int f = 0; f < 12; f++)
        {
            // F1 to F10 are 59 and on, F11 and F12 87 and 88, F13 to F24 183 and on.
            keys.Add(0xffbe + (uint)f, new KeyStroke(f < 10 ? 59 + f : 87 + f - 10));
            keys.Add(0xffca + (uint)f, new KeyStroke(183 + f));
        }
        return keys;
    }

    /// <summary>The key of a scan code of set 1; bit 7 says that e0 comes before it.</summary>
    /// <returns>0 when there is none</returns>
    public static int OfScanCode(uint code)
    {
        bool extended = (code & 0x80) != 0;
        if (code is 0 or > 0xff)
        {
            return 0;
        }
        foreach ((int known, int key) in extended ? s_extended : s_odd)
        {
            if (known == (code & 0x7f))
            {
                return key;
            }
        }
        // Linux numbers the keys of the first PC keyboards as their scan codes.
        return !extended && code <= 88 ? (int)code : 0;
    }
}
