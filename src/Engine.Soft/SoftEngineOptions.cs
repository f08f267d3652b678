using System.Collections.Generic;

namespace Ryokan.Engine.Soft;

/// <summary>What the translator may do; every optimization can be switched off to find a bug or to measure.</summary>
public sealed record SoftEngineOptions
{
    /// <summary>Size of the code cache in MiB; when it is full all translations are dropped.</summary>
    public int CodeCacheMegabytes { get; init; } = 256;

    /// <summary>Direct jumps between translations of one page are patched to go straight there.</summary>
    public bool Chaining { get; init; } = true;

    /// <summary>Translations go on through conditional branches and direct jumps.</summary>
    public bool Superblocks { get; init; } = true;

    /// <summary>Short loops are translated several rounds at a time.</summary>
    public bool Unrolling { get; init; } = true;

    /// <summary>Flags that no later instruction reads are not kept.</summary>
    public bool FlagLiveness { get; init; } = true;

    /// <summary>Flags that can be had again are not kept by checks.</summary>
    public bool FlagRecovery { get; init; } = true;

    /// <summary>Accesses through one base register share one check.</summary>
    public bool Grouping { get; init; } = true;

    /// <summary>Soft TLB misses that find the page present and marked are filled by generated code.</summary>
    public bool InlineFills { get; init; } = true;

    /// <summary>REP MOVS and REP STOS run as host string instructions page by page.</summary>
    public bool InlineStrings { get; init; } = true;

    /// <summary>Where to write translations and counters when the domain ends; null: nowhere.</summary>
    public string? DumpFolder { get; init; }

    /// <summary>File of translations made before, which <see cref="Stored.StoreBuilder"/> wrote; null: none.</summary>
    public string? Store { get; init; }

    /// <summary>File to note in what had to be translated; null: none.</summary>
    public string? Journal { get; init; }

    /// <summary>The default and one variant with each optimization off, by name, for tests.</summary>
    public static IReadOnlyList<(string Name, SoftEngineOptions Options)> Variants { get; } =
    [
        ("default", new()),
        ("no-chaining", new() { Chaining = false }),
        ("no-superblocks", new() { Superblocks = false }),
        ("no-unrolling", new() { Unrolling = false }),
        ("no-flag-liveness", new() { FlagLiveness = false }),
        ("no-flag-recovery", new() { FlagRecovery = false }),
        ("no-grouping", new() { Grouping = false }),
        ("no-inline-fills", new() { InlineFills = false }),
        ("no-inline-strings", new() { InlineStrings = false }),
        ("plain", new()
        {
            Chaining = false, Superblocks = false, Unrolling = false, FlagLiveness = false, FlagRecovery = false, Grouping = false, InlineFills = false,
            InlineStrings = false,
        }),
    ];
}
