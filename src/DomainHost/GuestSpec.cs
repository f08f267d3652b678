using Ryokan.Api.Guests;

namespace Ryokan.DomainHost;

/// <summary>What this process is to run: a guest's description and what the host adds to it.</summary>
/// <param name="DomainId">as the guest sees it, 1 .. 0x7fef</param>
/// <param name="Config">the description</param>
/// <param name="EngineVariant">name of a set of engine options, for tests and diagnosis; null: the
/// default</param>
internal sealed record GuestSpec(int DomainId, GuestConfig Config, string? EngineVariant = null)
{
    /// <summary>File of translations to use; null: none.</summary>
    public string? TranslationStore { get; init; }

    /// <summary>File to note in what had to be translated; null: none.</summary>
    public string? TranslationJournal { get; init; }
}
