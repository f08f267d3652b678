using System;
using System.IO;
using System.Linq;
using Ryokan.Backends.Tests.Screen;
using Xunit;

namespace Ryokan.Host.Tests.Screen;

/// <summary>
/// A test that looks at a guest's screen with stock programs: skipped by name where they are missing (eng/setup.sh
/// --test has root install them).
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class ScreenFactAttribute : FactAttribute
{
    /// <param name="programs">that the test runs</param>
    public ScreenFactAttribute(params string[] programs)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        string[] missing = [.. programs.Where(p => !folders.Any(f => File.Exists(Path.Combine(f, p))))];
        if (missing.Length > 0)
        {
            Skip = $"needs {string.Join(", ", missing)} (Debian: tigervnc-viewer, xvfb, xdotool, gvncviewer)";
        }
    }
}

/// <summary>A test of a keyboard other than the US one: skipped by name where the host knows none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class KeymapFactAttribute : FactAttribute
{
    public KeymapFactAttribute() => Skip = KeyboardLayouts.Missing;
}
