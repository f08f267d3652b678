using System.IO;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Wire;
using Ryokan.Xm.Console;

namespace Ryokan.Xm.Commands;

/// <summary>xm console.</summary>
internal static class ConsoleCommand
{
    public static async Task<int> Run(CommandContext context)
    {
        context.Parse(1, 1);
        using DaemonClient daemon = await context.Connect();
        DomainInfo domain = await daemon.Find(context.Words[0]);
        using ConsoleSession session = new(
            Path.Combine(context.Places.Domain(domain.Id), DomainFiles.ConsoleSocket), withHistory: false);
        session.Run();
        return 0;
    }
}
