using System;
using System.IO;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Guests;
using Ryokan.Images;
using Ryokan.Xm.Commands;

namespace Ryokan.Xm;

internal static class Program
{
    private const int Failed = 1;

    private static async Task<int> Main(string[] arguments)
    {
        try
        {
            return await Run(arguments);
        }
        catch (Exception e) when (e is UsageException or GuestConfigException or RefusedException
            or DaemonUnreachableException or ImageException)
        {
            System.Console.Error.WriteLine($"xm: {e.Message}");
            return Failed;
        }
        catch (IOException)
        {
            // Whoever read our output is gone.
            return Failed;
        }
    }

    private static async Task<int> Run(string[] arguments)
    {
        if (arguments is [] or ["--help" or "-h"])
        {
            arguments = ["help"];
        }
        if (arguments is ["--version" or "-V"])
        {
            System.Console.WriteLine(
                $"xm (Ryokan) {typeof(Program).Assembly.GetName().Version?.ToString(3)}");
            return 0;
        }
        Command command = CommandTable.Find(arguments[0])
            ?? throw new UsageException($"there is no command '{arguments[0]}'; 'xm help' lists them");
        return await command.Run(
            new CommandContext(command, arguments.AsSpan(1).ToArray(), Places.ForThisUser()));
    }
}
