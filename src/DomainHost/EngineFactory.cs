using System;
using Ryokan.Engine;
using Ryokan.GuestMemory;

namespace Ryokan.DomainHost;

/// <summary>Makes the engine of a domain.</summary>
internal static class EngineFactory
{
    /// <param name="variant">name of a set of engine options, or null for the default</param>
    /// <exception cref="OperatorException">no variant has that name</exception>
    public static Func<GuestFrames, HypervisorHole, IEngine> For(string? variant) =>
        throw new NotSupportedException($"no engine yet {variant}");
}
