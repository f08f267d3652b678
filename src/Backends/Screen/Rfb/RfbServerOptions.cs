using System.Net;
using System.Text;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>What an RFB server is made from.</summary>
public sealed record RfbServerOptions
{
    /// <summary>What viewers show in their title.</summary>
    public required string Name { get; init; }

    public required ScreenSurface Surface { get; init; }

    public required ScreenInput Input { get; init; }

    /// <summary>What the guest's keyboard is taken for.</summary>
    public KeyMap Keys { get; init; } = KeyMap.EnglishUs;

    public required IPAddress Address { get; init; }

    /// <summary>TCP port is 5900 and this.</summary>
    public required int Display { get; init; }

    /// <summary>Take the next display that is free.</summary>
    public required bool FindUnused { get; init; }

    /// <summary>Its first 8 bytes count; null: whoever reaches the port may look and type.</summary>
    public string? Password { get; init; }

    /// <summary>Without the password: a record would print it.</summary>
    private bool PrintMembers(StringBuilder builder)
    {
        builder.Append(Name).Append(' ').Append(Address).Append(':').Append(Display);
        return true;
    }
}
