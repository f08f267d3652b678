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

    /// <summary>As they were typed, for commands with a grammar of their own.</summary>
    public IReadOnlyList<string> Arguments => arguments;

    /// <summary>Words that are no options.</summary>
    public List<string> Words { get; } = [];

    private readonly HashSet<string> _options = [];
    private readonly Dictionary<string, string> _values = [];

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

    /// <summary>As <see cref="Parse"/>, for a command whose options all take a value and that has no words.</summary>
    /// <exception cref="UsageException">an unknown option, or no value</exception>
    public void ParseWithValues(params ReadOnlySpan<string> known)
    {
        for (int i = 0; i < arguments.Count; i += 2)
        {
            string option = arguments[i];
            if (!known.Contains(option))
            {
                throw Wrong(option.StartsWith('-') ? $"unknown option '{option}'"
                    : $"'{option}' is one argument too many");
            }
            _values[option] = i + 1 < arguments.Count ? arguments[i + 1]
                : throw Wrong($"{option}: a value is missing");
        }
    }

    /// <summary>The value of an option, or null when it was not given.</summary>
    public string? Value(string option) => _values.GetValueOrDefault(option);

    public bool Has(string option) => _options.Contains(option);

    public UsageException Wrong(string what) =>
        new($"{command.Name}: {what}; usage: xm {command.Name} {command.Usage}".TrimEnd());

    public Task<DaemonClient> Connect() => Daemon.Connect(Places);
}
