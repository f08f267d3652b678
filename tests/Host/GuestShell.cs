using System;
using System.Diagnostics;
using System.Globalization;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>
/// The shell on a guest's console (mode=shell), through <c>xm console</c>: runs commands and gives what they
/// printed.
/// </summary>
internal sealed class GuestShell : IDisposable
{
    private readonly HostUnderTest _host;
    private readonly string _name;
    private readonly Process _console;
    private int _commands;

    /// <summary>Waits for the shell of a running guest.</summary>
    public GuestShell(HostUnderTest host, string name)
    {
        (_host, _name) = (host, name);
        _host.AwaitConsole(name, "guest:");
        _console = _host.Start("console", name);
        // Nobody needs what it prints; the log has it.
        _ = Task.WhenAll(_console.StandardOutput.ReadToEndAsync(), _console.StandardError.ReadToEndAsync());
        Must("stty -echo");
    }

    /// <summary>Runs a command; its exit status and what it printed, without the last line end.</summary>
    public (int Status, string Output) Run(string command)
    {
        // The marks do not stand in what is typed, only in what is printed.
        int number = ++_commands;
        string begin = string.Create(CultureInfo.InvariantCulture, $"<{number}<");
        string end = string.Create(CultureInfo.InvariantCulture, $">{number}>");
        _console.StandardInput.Write($"echo '<'{number}'<'; {command}\necho '>'{number}'>'$?'>'\n");
        _console.StandardInput.Flush();
        string log = "";
        int at = -1;
        HostUnderTest.Await($"the end of '{command}' in {_name}", () =>
        {
            log = _host.ConsoleLog(_name);
            at = log.IndexOf(end, StringComparison.Ordinal);
            return at >= 0 && log.IndexOf('>', at + end.Length) >= 0;
        });
        int from = log.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        string status = log[(at + end.Length)..log.IndexOf('>', at + end.Length)];
        string output = log[from..at].Replace("\r", "", StringComparison.Ordinal);
        return (int.Parse(status, CultureInfo.InvariantCulture), WithoutPrompts(output));
    }

    private static string WithoutPrompts(string output)
    {
        int prompt = output.LastIndexOf("guest:", StringComparison.Ordinal);
        return (prompt < 0 ? output : output[..prompt]).Trim('\n');
    }

    /// <summary>Runs a command that has to succeed; what it printed.</summary>
    public string Must(string command)
    {
        (int status, string output) = Run(command);
        Assert.True(status == 0, $"'{command}' in {_name} ended with status {status}: {output}");
        return output;
    }

    public void Dispose()
    {
        _console.Kill();
        _console.Dispose();
    }
}
