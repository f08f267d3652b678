using System;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Host.Tests.Disks;

/// <summary>The shell of a guest on its console, by way of <c>xm console</c>.</summary>
internal sealed partial class GuestShell : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    private readonly Process _console;
    private readonly StringBuilder _text = new();
    private readonly Task _reading;
    private int _from;

    public GuestShell(HostUnderTest host, string name)
    {
        host.AwaitConsole(name, "Ctrl-] leaves the console");
        _console = host.Start("console", name);
        _reading = ReadAsync();
        // A prompt that is not part of any command's output.
        Run("PS1=; stty -echo");
    }

    private async Task ReadAsync()
    {
        char[] buffer = new char[4096];
        for (int n; (n = await _console.StandardOutput.ReadAsync(buffer)) > 0;)
        {
            lock (_text)
            {
                _text.Append(buffer, 0, n);
                Monitor.PulseAll(_text);
            }
        }
    }

    /// <summary>Runs a command that has to end with status 0; returns what it printed.</summary>
    public string Run(string command)
    {
        (int status, string output) = Try(command);
        Assert.True(status == 0, $"in the guest '{command}' ended with status {status}: {output}");
        return output;
    }

    public (int Status, string Output) Try(string command)
    {
        Send(command + "; echo \"<<$?>>\"");
        Match end = Await(StatusPattern());
        string output = end.Result("$`").Replace("\r", "", StringComparison.Ordinal).Trim('\n');
        return (int.Parse(end.Groups[1].Value, CultureInfo.InvariantCulture), output);
    }

    public void Send(string line)
    {
        lock (_text)
        {
            _from = _text.Length;
        }
        _console.StandardInput.Write(line + "\n");
        _console.StandardInput.Flush();
    }

    /// <summary>Waits for a text that came after the last line sent.</summary>
    public Match Await(Regex pattern)
    {
        Stopwatch watch = Stopwatch.StartNew();
        lock (_text)
        {
            while (true)
            {
                Match match = pattern.Match(_text.ToString(_from, _text.Length - _from));
                if (match.Success)
                {
                    return match;
                }
                Assert.True(watch.Elapsed < s_patience, $"no {pattern} in: {_text.ToString(_from, _text.Length - _from)}");
                Monitor.Wait(_text, 1000);
            }
        }
    }

    /// <summary>Repeats a command until it ends with status 0 (devices appear a moment after they are attached).</summary>
    public void AwaitSuccess(string command) =>
        HostUnderTest.Await($"'{command}' in the guest", () => Try(command).Status == 0);

    [GeneratedRegex("<<([0-9]+)>>")]
    private static partial Regex StatusPattern();

    public void Dispose()
    {
        if (!_console.HasExited)
        {
            _console.Kill();
        }
        _console.WaitForExit();
        _reading.Wait();
        _console.Dispose();
    }
}
