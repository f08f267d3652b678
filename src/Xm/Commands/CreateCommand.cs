using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;
using Ryokan.Xm.Console;

namespace Ryokan.Xm.Commands;

/// <summary>xm create.</summary>
internal static class CreateCommand
{
    /// <summary>Exit statuses of -c beside 0: the guest crashed; it was ended by somebody.</summary>
    private const int Crashed = 2, Ended = 3;

    public static async Task<int> Run(CommandContext context)
    {
        context.Parse(1, int.MaxValue, "-c", "-p", "-q", "--quiet", "-V", "--vncviewer", "-A", "--vncviewer-autopass");
        string file = context.Words[0];
        GuestConfig config = GuestConfigReader.ReadFile(
            file, context.Words.GetRange(1, context.Words.Count - 1), out IReadOnlyList<string> warnings);
        bool quiet = context.Has("-q") || context.Has("--quiet");
        if (!quiet)
        {
            System.Console.Error.WriteLine($"Parsing config from {file}");
        }
        foreach (string warning in warnings)
        {
            System.Console.Error.WriteLine($"xm: warning: {warning}");
        }
        using DaemonClient daemon = await context.Connect();
        DomainInfo domain;
        try
        {
            domain = await daemon.Create(new CreateRequest(config, context.Has("-p")));
        }
        catch (RefusedException e)
        {
            throw new UsageException($"{file}: {e.Message}");
        }
        if ((context.Has("-V") || context.Has("--vncviewer")) && domain.Screen is { } screen)
        {
            System.Console.WriteLine(ScreenCommands.Where(screen));
        }
        return context.Has("-c") ? await FollowConsole(context, daemon, domain.Id) : 0;
    }

    /// <summary>
    /// Shows the console of a domain, and of those that take its place, until the last is gone.
    /// </summary>
    private static async Task<int> FollowConsole(CommandContext context, DaemonClient daemon, int id)
    {
        for (; ; )
        {
            string path = Path.Combine(context.Places.Domain(id), DomainFiles.ConsoleSocket);
            SessionEnd sessionEnd;
            using (ConsoleSession session = new(path, withHistory: true))
            {
                sessionEnd = session.Run();
            }
            if (sessionEnd != SessionEnd.GuestGone)
            {
                return 0;
            }
            DomainEnd end = await AwaitEnd(context, daemon, id);
            if (end.Successor is { } successor)
            {
                id = successor;
                continue;
            }
            return Report(end);
        }
    }

    /// <summary>Asks how it ended; by way of another daemon when the first one went away meanwhile.</summary>
    private static async Task<DomainEnd> AwaitEnd(CommandContext context, DaemonClient daemon, int id)
    {
        try
        {
            return await daemon.End(id);
        }
        catch (DaemonUnreachableException)
        {
            using DaemonClient another = await context.Connect();
            return await another.End(id);
        }
    }

    private static int Report(DomainEnd end)
    {
        switch (end.Reason)
        {
            case EndReason.Poweroff or EndReason.Reboot or EndReason.Suspend:
                if (end.RestartFailure != null)
                {
                    System.Console.Error.WriteLine(
                        $"xm: domain '{end.Name}' (id {end.Id}): {end.RestartFailure}");
                    return 1;
                }
                return 0;
            case EndReason.Destroyed:
                System.Console.Error.WriteLine($"xm: domain '{end.Name}' (id {end.Id}) was destroyed");
                return Ended;
            default:
                string reason = end.RestartFailure ?? end.Summary ?? "the guest says it crashed";
                System.Console.Error.WriteLine(
                    $"xm: domain '{end.Name}' (id {end.Id}) crashed: {reason}; 'xm dmesg' has the report");
                return Crashed;
        }
    }
}
