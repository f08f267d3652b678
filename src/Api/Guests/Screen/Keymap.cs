using System.Collections.Generic;
using System.Linq;

namespace Ryokan.Api.Guests.Screen;

/// <summary>A keyboard that a description can name (xl.cfg(5), "keymap"; the names are QEMU's).</summary>
/// <param name="Name">of the map</param>
/// <param name="Layout">the same in XKB</param>
/// <param name="Variant">of the layout; empty: none</param>
public sealed record Keymap(string Name, string Layout, string Variant = "")
{
    /// <summary>For which nothing of the host is needed.</summary>
    public const string Default = "en-us";

    /// <summary>All that are known, by name: those of QEMU, whose own are made from the same layouts.</summary>
    public static IReadOnlyList<Keymap> All { get; } =
    [
        new("ar", "ara"), new("bepo", "fr", "bepo"), new("cz", "cz"), new("da", "dk"), new("de", "de", "nodeadkeys"),
        new("de-ch", "ch"), new("en-gb", "gb"), new(Default, "us"), new("es", "es"), new("et", "ee"), new("fi", "fi"),
        new("fo", "fo"), new("fr", "fr", "nodeadkeys"), new("fr-be", "be"), new("fr-ca", "ca", "fr"),
        new("fr-ch", "ch", "fr"), new("hr", "hr"), new("hu", "hu"), new("is", "is"), new("it", "it"), new("ja", "jp"),
        new("lt", "lt"), new("lv", "lv"), new("mk", "mk"), new("nl", "nl"), new("no", "no"), new("pl", "pl"),
        new("pt", "pt"), new("pt-br", "br"), new("ru", "ru"), new("sl", "si"), new("sv", "se"), new("th", "th"),
        new("tr", "tr"),
    ];

    /// <summary>Null: no such map.</summary>
    public static Keymap? Find(string name) => All.FirstOrDefault(k => k.Name == name);
}
