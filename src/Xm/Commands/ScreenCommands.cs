using System;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Wire;

namespace Ryokan.Xm.Commands;

/// <summary>xm vncviewer, and what xm create says about the screen.</summary>
internal static class ScreenCommands
{
    public static async Task<int> Viewer(CommandContext context)
    {
        // xl starts a program and hands it the password; here the user does both.
        context.Parse(1, 1, "--autopass", "--vncviewer-autopass");
        using DaemonClient daemon = await context.Connect();
        DomainInfo domain = await daemon.Find(context.Words[0]);
        if (domain.Screen is not { } screen)
        {
            throw new UsageException($"vncviewer: domain '{domain.Name}' shows no screen; its description needs"
                + " vfb = ['type=vnc']");
        }
        System.Console.WriteLine(Where(screen));
        return 0;
    }

    /// <summary>One line: HOST:PORT, the display as viewers take it, and whether they ask for a password.</summary>
    public static string Where(ScreenInfo screen)
    {
        string host = screen.Address.Contains(':', StringComparison.Ordinal) ? $"[{screen.Address}]" : screen.Address;
        return FormattableString.Invariant($"{host}:{screen.Port} (display {host}:{screen.Display}")
            + (screen.NeedsPassword ? ", with password)" : ")");
    }
}
