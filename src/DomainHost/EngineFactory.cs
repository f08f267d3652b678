using System;
using System.Linq;
using Ryokan.Engine;
using Ryokan.Engine.Soft;
using Ryokan.GuestMemory;

namespace Ryokan.DomainHost;

/// <summary>Makes the engine of a domain.</summary>
internal static class EngineFactory
{
    /// <summary>Environment variable: folder for the engine's translations and counters, written when the domain ends.</summary>
    private const string DumpVariable = "RYOKAN_ENGINE_DUMP";

    /// <param name="variant">name of a set of engine options, or null for the default</param>
    /// <exception cref="OperatorException">no variant has that name</exception>
    public static Func<GuestFrames, HypervisorHole, IEngine> For(string? variant)
    {
        string wanted = variant ?? "default";
        foreach ((string name, SoftEngineOptions options) in SoftEngineOptions.Variants)
        {
            if (name == wanted)
            {
                SoftEngineOptions chosen = options with { DumpFolder = Environment.GetEnvironmentVariable(DumpVariable) };
                return (frames, hole) => new SoftEngine(frames, hole, chosen);
            }
        }
        string known = string.Join(", ", SoftEngineOptions.Variants.Select(v => v.Name));
        throw new OperatorException($"engine variant '{variant}' is unknown; known are: {known}");
    }
}
