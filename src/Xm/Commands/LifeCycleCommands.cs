using System.Collections.Generic;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Wire;

namespace Ryokan.Xm.Commands;

/// <summary>xm shutdown, reboot, destroy, pause, unpause, sysrq.</summary>
internal static class LifeCycleCommands
{
    public static Task<int> Shutdown(CommandContext context) => AskToEnd(context, DomainAction.Shutdown);

    public static Task<int> Reboot(CommandContext context) => AskToEnd(context, DomainAction.Reboot);

    private static async Task<int> AskToEnd(CommandContext context, DomainAction action)
    {
        context.Parse(0, 1, "-w", "-a");
        if (context.Has("-a") == (context.Words.Count == 1))
        {
            throw context.Wrong("give either a domain or -a");
        }
        using DaemonClient daemon = await context.Connect();
        IReadOnlyList<DomainInfo> domains = context.Has("-a") ? await daemon.List()
            : [await daemon.Find(context.Words[0])];
        foreach (DomainInfo domain in domains)
        {
            await daemon.Act(Id(domain), action);
            System.Console.WriteLine(
                $"{(action == DomainAction.Shutdown ? "Shutting down" : "Rebooting")} domain {domain.Id}");
        }
        if (context.Has("-w"))
        {
            foreach (DomainInfo domain in domains)
            {
                DomainEnd end = await daemon.End(domain.Id);
                System.Console.WriteLine(
                    $"Domain {domain.Id} has ended: {end.Reason.ToString().ToLowerInvariant()}");
            }
        }
        return 0;
    }

    private static string Id(DomainInfo domain) =>
        domain.Id.ToString(System.Globalization.CultureInfo.InvariantCulture);

    public static async Task<int> Destroy(CommandContext context)
    {
        context.Parse(1, 1);
        using DaemonClient daemon = await context.Connect();
        await daemon.Destroy(context.Words[0]);
        return 0;
    }

    public static Task<int> Pause(CommandContext context) => Act(context, DomainAction.Pause);

    public static Task<int> Unpause(CommandContext context) => Act(context, DomainAction.Unpause);

    private static async Task<int> Act(CommandContext context, DomainAction action)
    {
        context.Parse(1, 1);
        using DaemonClient daemon = await context.Connect();
        await daemon.Act(context.Words[0], action);
        return 0;
    }

    public static async Task<int> Sysrq(CommandContext context)
    {
        context.Parse(2, 2);
        if (context.Words[1] is not [var key] || !char.IsAsciiLetterOrDigit(key))
        {
            throw context.Wrong($"'{context.Words[1]}' is not one letter or digit");
        }
        using DaemonClient daemon = await context.Connect();
        await daemon.Act(context.Words[0], DomainAction.Sysrq, context.Words[1]);
        return 0;
    }
}
