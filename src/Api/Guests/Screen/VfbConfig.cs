using System.Text;

namespace Ryokan.Api.Guests.Screen;

/// <summary>The screen of a guest's description (xl.cfg(5), "vfb"): a framebuffer, a keyboard, a pointer.</summary>
public sealed record VfbConfig
{
    public const string DefaultAddress = "127.0.0.1";

    /// <summary>Shown by VNC; else only the guest sees it.</summary>
    public bool Vnc { get; init; } = true;

    /// <summary>IP address that the VNC server listens on.</summary>
    public string Address { get; init; } = DefaultAddress;

    /// <summary>TCP port is 5900 and this; with <see cref="FindUnused"/> the first that is tried.</summary>
    public int Display { get; init; }

    /// <summary>Take the next display that is free.</summary>
    public bool FindUnused { get; init; } = true;

    /// <summary>Null: whoever reaches the port may look and type.</summary>
    public string? Password { get; init; }

    /// <summary>What the guest's keyboard is taken for; a name of <see cref="Screen.Keymap.All"/>.</summary>
    public string Keymap { get; init; } = Screen.Keymap.Default;

    /// <summary>What a record prints of itself must not hold the password.</summary>
    private bool PrintMembers(StringBuilder builder)
    {
        builder.Append(Vnc ? "vnc " : "").Append(Address).Append(':').Append(Display);
        return true;
    }
}
