using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Ryokan.Api;

namespace Ryokan.Xm.Commands;

/// <summary>One subcommand.</summary>
/// <param name="Name">what the user types</param>
/// <param name="Usage">its arguments, for help and complaints</param>
/// <param name="Summary">one line</param>
/// <param name="Run">does it; returns the exit status</param>
internal sealed record Command(
    string Name, string Usage, string Summary, Func<CommandContext, Task<int>> Run);

/// <summary>What a subcommand is given.</summary>
internal sealed class CommandContext(Command command, IReadOnlyList<string> arguments, Places places)
{
    public Places Places { get; } = places;

    /// <summary>Words that are no options.</summary>
    public List<string> Words { get; } = [];

    private readonly HashSet<string> _options = [];

    /// <summary>Sorts the words from the options; <paramref name="known"/> lists the options.</summary>
    /// <exception cref="UsageException">an unknown option, or too few or many words</exception>
    public void Parse(int min, int max, params ReadOnlySpan<string> known)
    {
        bool optionsEnded = false;
        foreach (string argument in arguments)
        {
            if (optionsEnded || argument is not ['-', _, ..])
            {
                Words.Add(argument);
            }
            else if (argument == "--")
            {
                optionsEnded = true;
            }
            else if (known.Contains(argument))
            {
                _options.Add(argument);
            }
            else
            {
                throw Wrong($"unknown option '{argument}'");
            }
        }
        if (Words.Count < min || Words.Count > max)
        {
            throw Wrong(
                Words.Count < min ? "an argument is missing" : $"'{Words[max]}' is one argument too many");
        }
    }

    public bool Has(string option) => _options.Contains(option);

    public UsageException Wrong(string what) =>
        new($"{command.Name}: {what}; usage: xm {command.Name} {command.Usage}".TrimEnd());

    public Task<DaemonClient> Connect() => Daemon.Connect(Places);
}
