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

    /// <exception cref="OperatorException">no variant of engine options has the name that is wanted</exception>
    public static Func<GuestFrames, HypervisorHole, IEngine> For(GuestSpec spec)
    {
        string wanted = spec.EngineVariant ?? "default";
        foreach ((string name, SoftEngineOptions options) in SoftEngineOptions.Variants)
        {
            if (name == wanted)
            {
                SoftEngineOptions chosen = options with
                {
                    DumpFolder = Environment.GetEnvironmentVariable(DumpVariable),
                    Store = spec.TranslationStore,
                    Journal = spec.TranslationJournal,
                };
                return (frames, hole) => new SoftEngine(frames, hole, chosen);
            }
        }
        string known = string.Join(", ", SoftEngineOptions.Variants.Select(v => v.Name));
        throw new OperatorException($"engine variant '{wanted}' is unknown; known are: {known}");
    }
}
