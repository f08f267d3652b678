using System;
using Ryokan.DomainBuilder;
using Ryokan.DomainHost.Direct;
using Ryokan.DomainHost.Hosted;

namespace Ryokan.DomainHost;

internal static class Program
{
    private const int OperatorError = 1;

    private static int Main(string[] arguments)
    {
        try
        {
            return arguments switch
            {
                ["--domain", var directory] => HostedRun.Run(directory),
                ["--direct", ..] => DirectRun.Run(DirectOptions.Parse(arguments.AsSpan(1))),
                ["--translate", var journal, var store] => TranslationRun.Run(journal, store),
                _ => throw new OperatorException(DirectOptions.Usage),
            };
        }
        catch (Exception e) when (e is DomainBuildException or OperatorException
            or PlatformNotSupportedException)
        {
            System.Console.Error.WriteLine($"Ryokan.DomainHost: {e.Message}");
            return OperatorError;
        }
    }
}
