using System;
using Xunit;

namespace Ryokan.Host.Tests.Debian;

/// <summary>Tests that take minutes and the Debian archive: run with RYOKAN_SLOW_TESTS=1.</summary>
internal static class Slow
{
    public static string? Skip { get; } = Environment.GetEnvironmentVariable("RYOKAN_SLOW_TESTS") == "1"
        ? null : "takes minutes: set RYOKAN_SLOW_TESTS=1";
}

/// <summary>A test that takes minutes.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SlowFactAttribute : FactAttribute
{
    public SlowFactAttribute() => Skip = Slow.Skip;
}

/// <summary>A theory that takes minutes.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SlowTheoryAttribute : TheoryAttribute
{
    public SlowTheoryAttribute() => Skip = Slow.Skip;
}

/// <summary>A test that takes minutes and makes network namespaces and bridges.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SlowRootFactAttribute : RootFactAttribute
{
    public SlowRootFactAttribute() => Skip ??= Slow.Skip;
}
