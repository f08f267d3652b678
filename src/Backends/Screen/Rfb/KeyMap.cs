using System.Collections.Frozen;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Linux.Interop.Keyboards;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>How a guest's keyboard makes a keysym.</summary>
/// <param name="Key">the key, as Linux numbers it</param>
/// <param name="Shift">with Shift; null: either way</param>
/// <param name="Level3">with AltGr; null: either way</param>
internal readonly record struct KeyStroke(int Key, bool? Shift = null, bool? Level3 = null);

/// <summary>Which key of a guest's keyboard makes which keysym (X11/keysymdef.h).</summary>
public sealed class KeyMap
{
    /// <summary>Keysym of a Unicode character is the character and this.</summary>
    private const uint Unicode = 0x1000000;

    /// <summary>Keysyms of dead keys, and the accents that keyboards without dead keys have in their place.</summary>
    private static readonly (uint Dead, uint Accent)[] s_accents =
        [(0xfe50, '`'), (0xfe51, 0xb4), (0xfe52, '^'), (0xfe53, '~'), (0xfe57, 0xa8), (0xfe5b, 0xb8)];

    private const uint FirstDead = 0xfe50, LastDead = 0xfe93;

    /// <summary>
    /// Keys that make characters, those of Europe, Brazil and Japan too. XKB knows others, which PC keyboards lack; the
    /// keypad makes the same on all layouts as far as viewers care.
    /// </summary>
    private static readonly FrozenSet<int> s_characterKeys = ((IEnumerable<int>)
    [
        .. Enumerable.Range(2, 12), .. Enumerable.Range(16, 12), .. Enumerable.Range(30, 12), .. Enumerable.Range(43, 11),
        57, 86, 89, 124,
    ]).ToFrozenSet();

    private readonly FrozenDictionary<uint, KeyStroke> _strokes;

    private KeyMap(Dictionary<uint, KeyStroke> strokes) => _strokes = strokes.ToFrozenDictionary();

    /// <summary>A US keyboard.</summary>
    public static KeyMap EnglishUs { get; } = new(UsStrokes());

    /// <summary>A keyboard of which somebody knows what its keys make.</summary>
    /// <param name="symbols">what they make</param>
    /// <param name="common">what other layouts begin with: where a character has two keys, the one that the layout
    /// put there itself is the one that it is printed on</param>
    public static KeyMap Of(IReadOnlyList<KeySymbol> symbols, IReadOnlyList<KeySymbol> common)
    {
        Dictionary<uint, KeyStroke> strokes = KeyNames.Named();
        HashSet<KeySymbol> everywhere = [.. common];
        ILookup<int, KeySymbol> keys = symbols.Where(MakesCharacter).ToLookup(s => s.Key);
        // What takes the fewest fingers; but a layout's own AltGr goes before a Shift that all layouts have.
        foreach (KeySymbol symbol in keys.SelectMany(k => k)
            .OrderBy(s => (s.Level3 ? 4 : 0) + (s.Shift ? 2 : 0) + (everywhere.Contains(s) ? 3 : 0)))
        {
            KeyStroke stroke = new(symbol.Key,
                Makes(keys[symbol.Key], symbol with { Shift = !symbol.Shift }) ? null : symbol.Shift,
                Makes(keys[symbol.Key], symbol with { Level3 = !symbol.Level3 }) ? null : symbol.Level3);
            strokes.TryAdd(symbol.Keysym, stroke);
            if (symbol.Character != 0)
            {
                strokes.TryAdd(Unicode | symbol.Character, stroke);
            }
        }
        foreach ((uint dead, uint accent) in s_accents)
        {
            Alias(strokes, dead, accent);
            Alias(strokes, accent, dead);
        }
        if (!strokes.ContainsKey('a'))
        {
            // A keyboard with another script has the US one beneath: guests switch between them.
            foreach ((uint keysym, KeyStroke stroke) in UsStrokes())
            {
                strokes.TryAdd(keysym, stroke);
            }
        }
        return new KeyMap(strokes);
    }

    private static bool MakesCharacter(KeySymbol symbol) => s_characterKeys.Contains(symbol.Key)
        && (symbol.Character >= ' ' || symbol.Keysym is >= FirstDead and <= LastDead);

    /// <summary>Whether a key makes a symbol with some modifiers; one that it does not know makes no difference.</summary>
    private static bool Makes(IEnumerable<KeySymbol> key, KeySymbol symbol) =>
        key.Contains(symbol)
        || (symbol.Level3 && !key.Any(s => s.Level3) && Makes(key, symbol with { Level3 = false }))
        || (symbol.Shift && !key.Any(s => s.Shift) && Makes(key, symbol with { Shift = false }));

    private static void Alias(Dictionary<uint, KeyStroke> strokes, uint missing, uint there)
    {
        if (strokes.TryGetValue(there, out KeyStroke stroke))
        {
            strokes.TryAdd(missing, stroke);
        }
    }

    private static Dictionary<uint, KeyStroke> UsStrokes()
    {
        Dictionary<uint, KeyStroke> strokes = KeyNames.Named();
        foreach ((int first, string plain, string shifted) in KeyNames.UsRows)
        {
            for (int i = 0; i < plain.Length; i++)
            {
                bool both = plain[i] == shifted[i];
                strokes[plain[i]] = new KeyStroke(first + i, both ? null : false);
                strokes[shifted[i]] = new KeyStroke(first + i, both ? null : true);
            }
        }
        return strokes;
    }

    /// <summary>How the keyboard makes a keysym.</summary>
    /// <param name="keysym">of X; those of Latin-1 are its characters</param>
    /// <param name="stroke">how</param>
    /// <returns>false: it does not</returns>
    internal bool TryFind(uint keysym, out KeyStroke stroke)
    {
        // Unicode keysyms of Latin-1 characters are never needed, but some programs send them.
        keysym = keysym is > Unicode and < Unicode + 0x100 ? keysym & 0xff : keysym;
        return _strokes.TryGetValue(keysym, out stroke);
    }
}
