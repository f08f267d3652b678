using System;
using System.Diagnostics.CodeAnalysis;

namespace Ryokan.Engine.Soft;

/// <summary>Assertions that stay on: our own errors stop the domain process.</summary>
internal static class Debug
{
    public static void Require([DoesNotReturnIf(false)] bool condition, string what)
    {
        if (!condition)
        {
            throw new InvalidOperationException("software engine: " + what);
        }
    }
}
