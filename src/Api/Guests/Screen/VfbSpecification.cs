using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Ryokan.Api.Guests.Screen;

/// <summary>
/// The text of one screen: key=value pairs with commas between them, as xl.cfg(5) says (VFB_SPEC_STRING), and xm's
/// older <c>type=vnc</c>. No message repeats a value that may be the password.
/// </summary>
public static class VfbSpecification
{
    private const int FirstPort = 5900, MaxDisplay = 65535 - FirstPort;

    /// <summary>Bytes of a password that VNC authentication looks at (RFC 6143, 7.2.2).</summary>
    private const int PasswordBytes = 8;

    private const string Keys = "vnc, vnclisten, vncdisplay, vncunused, vncpasswd, keymap";

    /// <summary>Reads a description.</summary>
    /// <param name="text">the description</param>
    /// <param name="warnings">gets one line for each key that has no effect, and for what may surprise</param>
    /// <exception cref="FormatException">with one line that says what is wrong</exception>
    public static VfbConfig Parse(string text, ICollection<string> warnings)
    {
        List<KeyValuePair<string, string>> pairs = [];
        foreach (string part in text.Split(','))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? part.Trim() : part[..equals].Trim();
            if (key.Length == 0 && equals < 0)
            {
                continue;
            }
            pairs.Add(equals < 0 ? throw new FormatException("a part is not of the form KEY=VALUE; the keys are " + Keys)
                : new(key, part[(equals + 1)..]));
        }
        return From(pairs, warnings);
    }

    /// <summary>Makes it from pairs that are told apart already.</summary>
    /// <param name="pairs">a later pair replaces an earlier one of its key</param>
    /// <param name="warnings">as those of <see cref="Parse"/></param>
    /// <exception cref="FormatException">with one line that says what is wrong</exception>
    public static VfbConfig From(IEnumerable<KeyValuePair<string, string>> pairs, ICollection<string> warnings)
    {
        VfbConfig vfb = new();
        (bool listen, bool display) numbered = default;
        foreach ((string key, string value) in pairs)
        {
            vfb = Apply(vfb, key, value, ref numbered, warnings);
        }
        if (numbered is (true, true))
        {
            throw new FormatException("vncdisplay: vnclisten says a display already; drop one");
        }
        if (vfb is { Vnc: true, Password: null } && !IPAddress.IsLoopback(IPAddress.Parse(vfb.Address)))
        {
            warnings.Add($"vncpasswd: not set: everybody who reaches {vfb.Address} may look at the guest and type");
        }
        return vfb;
    }

    private static VfbConfig Apply(VfbConfig vfb, string key, string value,
        ref (bool Listen, bool Display) numbered, ICollection<string> warnings)
    {
        string word = value.Trim();
        switch (key)
        {
            case "type":
                return word is "vnc" ? vfb : throw new FormatException(
                    word is "sdl" ? "type: 'sdl' is not served; 'vnc' is" : $"type: '{Shown(word)}' is not known; 'vnc' is");
            case "vnc":
                return vfb with { Vnc = Boolean(key, word) };
            case "vncunused":
                return vfb with { FindUnused = Boolean(key, word) };
            case "vncdisplay":
                numbered.Display = true;
                return vfb with { Display = Display(key, word) };
            case "vnclisten":
                return Listen(vfb, word, ref numbered.Listen);
            case "vncpasswd":
                return vfb with { Password = Password(value, warnings) };
            case "keymap":
                return vfb with { Keymap = KeymapOrDefault(word, warnings) };
            case "sdl" or "opengl":
                if (Boolean(key, word))
                {
                    warnings.Add($"{key}: there is no window of our own; VNC shows the screen");
                }
                return vfb;
            case "display" or "xauthority":
                warnings.Add($"{key}: is for sdl, which is not served; ignored");
                return vfb;
            default:
                throw new FormatException($"'{Shown(key)}' is not a key of a screen; those are {Keys}");
        }
    }

    private static bool Boolean(string key, string value) => value switch
    {
        "1" => true,
        "0" => false,
        _ => throw new FormatException($"{key}: '{Shown(value)}' is not 0 or 1"),
    };

    private static int Display(string key, string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int display) && display <= MaxDisplay
            ? display : throw new FormatException($"{key}: '{Shown(value)}' is not a display from 0 to {MaxDisplay}");

    /// <summary>ADDRESS or ADDRESS:DISPLAY; an IPv6 address that a display follows stands in brackets.</summary>
    private static VfbConfig Listen(VfbConfig vfb, string value, ref bool numbered)
    {
        int bracket = value.LastIndexOf(']');
        int colon = value.LastIndexOf(':');
        bool bare = bracket < 0 && value.IndexOf(':', StringComparison.Ordinal) != colon;
        string address = bare || colon < bracket || colon < 0 ? value : value[..colon];
        if (address.Length != value.Length)
        {
            vfb = vfb with { Display = Display("vnclisten", value[(colon + 1)..]) };
            numbered = true;
        }
        address = address is "localhost" ? VfbConfig.DefaultAddress
            : address is ['[', .. string inner, ']'] ? inner : address;
        bool full = IPAddress.TryParse(address, out IPAddress? parsed)
            && (parsed.AddressFamily == AddressFamily.InterNetworkV6 || address.Split('.').Length == 4);
        return full ? vfb with { Address = parsed!.ToString() }
            : throw new FormatException($"vnclisten: '{Shown(address)}' is no IP address");
    }

    private static string? Password(string value, ICollection<string> warnings)
    {
        int bytes = Encoding.UTF8.GetByteCount(value);
        if (bytes > PasswordBytes)
        {
            warnings.Add($"vncpasswd: VNC looks at the first {PasswordBytes} bytes only; the rest does not count");
        }
        return bytes == 0 ? null : value;
    }

    private static string KeymapOrDefault(string value, ICollection<string> warnings)
    {
        if (value.Length > 0 && Keymap.Find(value) == null)
        {
            warnings.Add($"keymap: '{Shown(value)}' is not known: what viewers type is taken for '{Keymap.Default}'; known are "
                + string.Join(' ', Keymap.All.Select(k => k.Name)));
            return Keymap.Default;
        }
        return value.Length > 0 ? value : Keymap.Default;
    }

    private static string Shown(string text) => XlConfigParser.Shown(text);
}
