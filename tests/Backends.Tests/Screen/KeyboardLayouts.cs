using System.IO;
using System.Runtime.InteropServices;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>Whether this system knows keyboards; the black-box tests ask it too.</summary>
internal static class KeyboardLayouts
{
    /// <summary>What tests that need them say when it does not; else null.</summary>
    public static string? Missing { get; } = NativeLibrary.TryLoad("libxkbcommon.so.0", out _)
        && Directory.Exists("/usr/share/X11/xkb") ? null : "needs libxkbcommon0 and xkb-data";
}
