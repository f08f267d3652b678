using System;
using System.Linq;
using Ryokan.Api.Guests.Screen;
using Ryokan.Backends.Screen.Rfb;
using Ryokan.Linux.Interop.Keyboards;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>Keysyms of viewers become the keys that make them on the guest's keyboard.</summary>
public sealed class KeyMapTests
{
    private const int Shift = 42, AltGr = 100;

    private static KeyMap Map(string name)
    {
        Keymap map = Keymap.Find(name)!;
        return KeyMap.Of(KeyboardLayout.Read(map.Layout, map.Variant), KeyboardLayout.Read(KeyboardLayout.Common));
    }

    [Fact]
    public void EveryCharacterOfAUsKeyboardHasAKey()
    {
        for (char c = ' '; c <= '~'; c++)
        {
            Assert.True(KeyMap.EnglishUs.TryFind(c, out KeyStroke stroke));
            Assert.True(KeyMap.EnglishUs.TryFind(0x1000000u + c, out KeyStroke unicode));
            Assert.Equal(stroke, unicode);
        }
        Assert.False(KeyMap.EnglishUs.TryFind('é', out _));
        Assert.Equal([1, 59, 68, 87, 88, 183],
            ((uint[])[0xff1b, 0xffbe, 0xffc7, 0xffc8, 0xffc9, 0xffca]).Select(k => Key(KeyMap.EnglishUs, k)));
    }

    private static int Key(KeyMap map, uint keysym) => map.TryFind(keysym, out KeyStroke stroke) ? stroke.Key : 0;

    /// <summary>The table that is written here says of a US keyboard what XKB says.</summary>
    [KeyboardLayoutFact]
    public void TheUsKeyboardIsXkbs()
    {
        KeyMap other = Map("en-us");
        for (uint keysym = 0; keysym < 0x10000; keysym++)
        {
            // XKB knows these on the key beside the left Shift as well, which US keyboards lack.
            if (keysym is not ('<' or '>') && KeyMap.EnglishUs.TryFind(keysym, out KeyStroke ours))
            {
                Assert.True(other.TryFind(keysym, out KeyStroke theirs));
                Assert.Equal((ours.Key, ours.Shift), (theirs.Key, theirs.Shift));
                // Its keys make nothing else with AltGr.
                Assert.NotEqual(true, theirs.Level3);
            }
        }
    }

    /// <summary>What is printed on the keyboards: the key, and S for Shift, A for AltGr.</summary>
    [KeyboardLayoutTheory]
    [InlineData("de", "z21 y44 ö39 Ö39S ß12 @16A €18A {8A \\12A /8S <86 |86A #43 '43S ^41 \"3S")]
    [InlineData("fr", "a16 A16S q30 m39 é3 12S @11A {5A #4A ~3A <86 !53 ,50 .51S ?50S")]
    [InlineData("en-gb", "\"3S @40S £4S #43 ~43S \\86 |86S €5A ¬41S")]
    [InlineData("es", "ñ39 Ñ39S @3A #4A ;51S ¿13S ç43 €18A ^26S")]
    [InlineData("it", "è26 é26S ò39 @39A #40A [26A €18A ?12S")]
    [InlineData("de-ch", "z21 y44 ü26 ö39 @3A #4A $43 è26S")]
    [InlineData("sv", "å26 ä40 ö39 @3A {8A }11A $5A")]
    public void ACharacterIsTheKeyThatItIsPrintedOn(string name, string keys)
    {
        KeyMap map = Map(name);
        foreach (string word in keys.Split(' '))
        {
            string text = word[..1], number = new([.. word[1..].TakeWhile(char.IsAsciiDigit)]);
            foreach (uint keysym in (uint[])[KeysymOf(text[0]), 0x1000000u | text[0]])
            {
                Assert.True(map.TryFind(keysym, out KeyStroke stroke), $"no {text}");
                Assert.Equal((text, int.Parse(number), word[1..].Contains('S'), word[1..].Contains('A')),
                    (text, stroke.Key, stroke.Shift == true, stroke.Level3 == true));
            }
        }
        Assert.Equal([1, 14, 28, 42, AltGr, 79],
            ((uint[])[0xff1b, 0xff08, 0xff0d, 0xffe1, 0xfe03, 0xffb1]).Select(k => Key(map, k)));
        Assert.True(map.TryFind(' ', out KeyStroke space));
        Assert.Equal((57, null), (space.Key, space.Shift));
    }

    /// <summary>X11/keysymdef.h: Latin-1 is itself, the euro has a number of its own.</summary>
    private static uint KeysymOf(char c) => c == '€' ? 0x20acu : c;

    [KeyboardLayoutFact]
    public void ADeadKeyAndItsAccentAreOneKey()
    {
        // Dead in the layout, and not.
        Assert.Equal(26, Key(Map("es"), 0xfe50));
        Assert.Equal(26, Key(Map("es"), '`'));
        Assert.Equal(41, Key(Map("de"), 0xfe52));
        Assert.Equal(41, Key(Map("de"), '^'));
    }

    [KeyboardLayoutFact]
    public void AnotherScriptHasLatinLettersBeneath()
    {
        KeyMap russian = Map("ru");
        // Cyrillic_ef, as viewers name it and in Unicode.
        Assert.Equal((30, 30, 30), (Key(russian, 0x6c6), Key(russian, 0x1000444), Key(russian, 'a')));
    }

    [KeyboardLayoutFact]
    public void EveryMapOfADescriptionIsKnown()
    {
        foreach (Keymap map in Keymap.All)
        {
            KeyMap keys = Map(map.Name);
            Assert.All("0123456789 ", c => Assert.True(keys.TryFind(c, out _), $"{map.Name}: {c}"));
            Assert.All("azAZ", c => Assert.True(keys.TryFind(c, out _), $"{map.Name}: {c}"));
        }
    }

    [KeyboardLayoutFact]
    public void WhatNobodyKnowsIsSaidInOneLine()
    {
        string message = Assert.Throws<KeyboardLayoutException>(() => KeyboardLayout.Read("xx", "yy")).Message;
        Assert.StartsWith("libxkbcommon.so.0 cannot make the layout 'xx(yy)'; ", message, StringComparison.Ordinal);
    }

    /// <summary>A viewer with a US keyboard types on a German guest; then one with a German keyboard.</summary>
    [KeyboardLayoutFact]
    public void ShiftAndAltGrAreAsTheGuestNeedsThem()
    {
        using ScreenFront front = new();
        front.ConnectKeyboard();
        ViewerKeyboard keyboard = new(front.Input, Map("de"));
        keyboard.Keysym(0xffe1, down: true);
        keyboard.Keysym('@', down: true);
        keyboard.Keysym('@', down: false);
        keyboard.Keysym(0xffe1, down: false);
        Assert.Equal([(Shift, true), (Shift, false), (AltGr, true), (16, true), (AltGr, false), (Shift, true), (16, false),
            (Shift, false)], Next(front, 8));
        keyboard.Keysym(0xfe03, down: true);
        keyboard.Keysym('@', down: true);
        keyboard.Keysym('@', down: false);
        keyboard.Keysym('q', down: true);
        keyboard.Keysym('q', down: false);
        keyboard.Keysym(0xfe03, down: false);
        Assert.Equal([(AltGr, true), (16, true), (16, false), (AltGr, false), (16, true), (AltGr, true), (16, false),
            (AltGr, false)], Next(front, 8));
    }

    private static (int Key, bool Down)[] Next(ScreenFront front, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => front.NextKey()).Select(k => ((int)k.Keycode, k.Pressed != 0))];
}

/// <summary>A test that reads the system's keyboard layouts: skipped by name where there are none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class KeyboardLayoutFactAttribute : FactAttribute
{
    public KeyboardLayoutFactAttribute() => Skip = KeyboardLayouts.Missing;
}

/// <summary>A theory that reads the system's keyboard layouts.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class KeyboardLayoutTheoryAttribute : TheoryAttribute
{
    public KeyboardLayoutTheoryAttribute() => Skip = KeyboardLayouts.Missing;
}
