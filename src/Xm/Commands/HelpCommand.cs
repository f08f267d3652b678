using System.Threading.Tasks;

namespace Ryokan.Xm.Commands;

internal static class HelpCommand
{
    public static Task<int> Run(CommandContext context)
    {
        context.Parse(0, 1);
        if (context.Words is [var name])
        {
            Command command = CommandTable.Find(name)
                ?? throw new UsageException($"help: there is no command '{name}'");
            System.Console.WriteLine($"usage: xm {command.Name} {command.Usage}".TrimEnd());
            System.Console.WriteLine($"  {command.Summary}");
            return Task.FromResult(0);
        }
        System.Console.WriteLine("usage: xm COMMAND [ARGUMENTS]\n\nCommands:");
        foreach (Command command in CommandTable.All)
        {
            System.Console.WriteLine($"  {command.Name,-14} {command.Summary}");
        }
        System.Console.WriteLine("\nDOMAIN is a name or an id. 'xm help COMMAND' shows a command's arguments,"
            + " 'xm --version' the version.");
        return Task.FromResult(0);
    }
}
