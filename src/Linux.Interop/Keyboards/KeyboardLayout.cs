using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Keyboards;

/// <summary>One symbol of a key.</summary>
/// <param name="Key">as Linux numbers it (linux/input-event-codes.h)</param>
/// <param name="Shift">made with Shift</param>
/// <param name="Level3">made with AltGr</param>
/// <param name="Keysym">of X (X11/keysymdef.h)</param>
/// <param name="Character">in Unicode; 0: none</param>
public readonly record struct KeySymbol(int Key, bool Shift, bool Level3, uint Keysym, uint Character);

/// <summary>A keyboard layout cannot be read; the message is one line.</summary>
public sealed class KeyboardLayoutException(string message) : Exception(message);

/// <summary>
/// What the keys of a layout make, by the system's libxkbcommon and its data (Debian: libxkbcommon0, xkb-data).
/// </summary>
public static unsafe partial class KeyboardLayout
{
    /// <summary>The layout that XKB's Latin ones begin with.</summary>
    public const string Common = "latin";

    private const string Library = "libxkbcommon.so.0";
    private const string Packages = "as root: apt-get install libxkbcommon0 xkb-data";

    /// <summary>XKB_CONTEXT_NO_ENVIRONMENT_NAMES; XKB_LOG_LEVEL_CRITICAL.</summary>
    private const int NoEnvironmentNames = 2, CriticalOnly = 10;

    /// <summary>A key's number in XKB is Linux' and this.</summary>
    private const uint FirstKeycode = 8;

    private const uint LastKey = 0x2ff;
    private const int MaxMasks = 16;

    [StructLayout(LayoutKind.Sequential)]
    private struct RuleNames
    {
        public byte* Rules, Model, Layout, Variant, Options;
    }

    /// <summary>Reads a layout for a PC keyboard of 105 keys.</summary>
    /// <param name="layout">XKB's name of it</param>
    /// <param name="variant">of it; empty: none</param>
    /// <returns>keys in order, each with what it makes alone first</returns>
    /// <exception cref="KeyboardLayoutException">the library is not there, or knows no such layout</exception>
    public static IReadOnlyList<KeySymbol> Read(string layout, string variant = "")
    {
        try
        {
            return ReadFromLibrary(layout, variant);
        }
        catch (DllNotFoundException)
        {
            throw new KeyboardLayoutException($"no {Library}; {Packages}");
        }
    }

    private static List<KeySymbol> ReadFromLibrary(string layout, string variant)
    {
        nint context = NewContext(NoEnvironmentNames);
        nint keymap = 0;
        try
        {
            if (context != 0)
            {
                SetLogLevel(context, CriticalOnly);
                keymap = Compile(context, layout, variant);
            }
            return keymap != 0 ? Symbols(keymap) : throw new KeyboardLayoutException(
                $"{Library} cannot make the layout '{layout}{(variant.Length > 0 ? $"({variant})" : "")}'; {Packages}");
        }
        finally
        {
            // Both take null.
            ReleaseKeymap(keymap);
            ReleaseContext(context);
        }
    }

    private static nint Compile(nint context, string layout, string variant)
    {
        RuleNames names = default;
        try
        {
            names.Rules = (byte*)Marshal.StringToCoTaskMemUTF8("evdev");
            names.Model = (byte*)Marshal.StringToCoTaskMemUTF8("pc105");
            names.Layout = (byte*)Marshal.StringToCoTaskMemUTF8(layout);
            names.Variant = (byte*)Marshal.StringToCoTaskMemUTF8(variant);
            names.Options = (byte*)Marshal.StringToCoTaskMemUTF8("");
            return NewKeymap(context, &names, 0);
        }
        finally
        {
            foreach (nint text in (ReadOnlySpan<nint>)[(nint)names.Rules, (nint)names.Model, (nint)names.Layout,
                (nint)names.Variant, (nint)names.Options])
            {
                Marshal.FreeCoTaskMem(text);
            }
        }
    }

    private static List<KeySymbol> Symbols(nint keymap)
    {
        List<KeySymbol> symbols = [];
        uint shift = Modifier(keymap, "Shift"), level3 = Modifier(keymap, "Mod5");
        uint last = uint.Min(LastKeycode(keymap), FirstKeycode + LastKey);
        for (uint key = FirstKeycode + 1; key <= last; key++)
        {
            uint levels = CountLevels(keymap, key, 0);
            for (uint level = 0; level < levels; level++)
            {
                uint* keysyms;
                // The list is the keymap's own, and lives as long.
                if (KeysymsOf(keymap, key, 0, level, &keysyms) == 1
                    && TryFindModifiers(keymap, key, level, shift | level3, out uint held))
                {
                    symbols.Add(new KeySymbol((int)(key - FirstKeycode), (held & shift) != 0, (held & level3) != 0,
                        keysyms[0], CharacterOf(keysyms[0])));
                }
            }
        }
        return symbols;
    }

    /// <summary>A way to a level that takes no other modifiers than some.</summary>
    private static bool TryFindModifiers(nint keymap, uint key, uint level, uint allowed, out uint held)
    {
        uint* masks = stackalloc uint[MaxMasks];
        nuint count = ModifiersOf(keymap, key, 0, level, masks, MaxMasks);
        for (nuint i = 0; i < count; i++)
        {
            if ((masks[i] & ~allowed) == 0)
            {
                held = masks[i];
                return true;
            }
        }
        held = 0;
        return false;
    }

    private static uint Modifier(nint keymap, string name)
    {
        uint index = ModifierIndex(keymap, name);
        return index < 32 ? 1u << (int)index : 0;
    }

    [LibraryImport(Library, EntryPoint = "xkb_context_new")]
    private static partial nint NewContext(int flags);

    [LibraryImport(Library, EntryPoint = "xkb_context_unref")]
    private static partial void ReleaseContext(nint context);

    [LibraryImport(Library, EntryPoint = "xkb_context_set_log_level")]
    private static partial void SetLogLevel(nint context, int level);

    [LibraryImport(Library, EntryPoint = "xkb_keymap_new_from_names")]
    private static partial nint NewKeymap(nint context, RuleNames* names, int flags);

    [LibraryImport(Library, EntryPoint = "xkb_keymap_unref")]
    private static partial void ReleaseKeymap(nint keymap);

    [LibraryImport(Library, EntryPoint = "xkb_keymap_max_keycode")]
    private static partial uint LastKeycode(nint keymap);

    [LibraryImport(Library, EntryPoint = "xkb_keymap_num_levels_for_key")]
    private static partial uint CountLevels(nint keymap, uint key, uint layout);

    [LibraryImport(Library, EntryPoint = "xkb_keymap_key_get_syms_by_level")]
    private static partial int KeysymsOf(nint keymap, uint key, uint layout, uint level, uint** keysyms);

    [LibraryImport(Library, EntryPoint = "xkb_keymap_key_get_mods_for_level")]
    private static partial nuint ModifiersOf(nint keymap, uint key, uint layout, uint level, uint* masks, nuint size);

    [LibraryImport(Library, EntryPoint = "xkb_keymap_mod_get_index", StringMarshalling = StringMarshalling.Utf8)]
    private static partial uint ModifierIndex(nint keymap, string name);

    [LibraryImport(Library, EntryPoint = "xkb_keysym_to_utf32")]
    private static partial uint CharacterOf(uint keysym);
}
