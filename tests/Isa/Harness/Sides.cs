using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Engine;
using Ryokan.GuestMemory;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>What is tested against the host CPU, by name.</summary>
public static class Sides
{
    /// <summary>The host CPU itself: shows that the tests agree with themselves.</summary>
    public const string Host = "host";

    public static IReadOnlyList<string> EngineVariants { get; } = ListVariants();

    public static ICaseRunner Open(string variant) =>
        variant == Host ? new NativeRunner() : new EngineRunner(f => CreateEngine(variant, f), KeepsDeadFlags(variant));

#if SOFT_ENGINE
    private static List<string> ListVariants() => [.. Engine.Soft.SoftEngineOptions.Variants.Select(v => v.Name)];

    private static bool KeepsDeadFlags(string variant) =>
        Engine.Soft.SoftEngineOptions.Variants.Any(v => v.Name == variant && !v.Options.FlagLiveness);

    /// <exception cref="ArgumentException">no variant has that name</exception>
    public static IEngine CreateEngine(string variant, GuestFrames frames)
    {
        foreach ((string name, Engine.Soft.SoftEngineOptions options) in Engine.Soft.SoftEngineOptions.Variants)
        {
            if (name == variant)
            {
                return new Engine.Soft.SoftEngine(frames, default, options);
            }
        }
        throw new ArgumentException($"no engine variant '{variant}'; there are: {string.Join(", ", EngineVariants)}");
    }
#else
    private static List<string> ListVariants() => [];

    private static bool KeepsDeadFlags(string variant) => false;

    public static IEngine CreateEngine(string variant, GuestFrames frames) =>
        throw new ArgumentException($"no engine variant '{variant}' in this build");
#endif
}
