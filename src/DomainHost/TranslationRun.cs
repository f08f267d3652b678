using System;
using System.Diagnostics;
using System.IO;
using Ryokan.Engine.Soft;
using Ryokan.Engine.Soft.Stored;

namespace Ryokan.DomainHost;

/// <summary>
/// This process as the one that adds to the store of translations what a domain's journal notes. It runs no guest, so no guest can have taken it
/// over; it gives way to everything else on the host.
/// </summary>
internal static class TranslationRun
{
    /// <exception cref="OperatorException">the journal cannot be read or the store not be written</exception>
    public static int Run(string journal, string store)
    {
        using Process self = Process.GetCurrentProcess();
        self.PriorityClass = ProcessPriorityClass.Idle;
        try
        {
            (long added, long all) = StoreBuilder.Build(journal, store, new SoftEngineOptions());
            System.Console.WriteLine(FormattableString.Invariant($"{store}: {added} translations added, {all} in all"));
            return 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new OperatorException($"{store}: no translations added: {e.Message}");
        }
    }
}
