using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Ryokan.Bench;

/// <summary>One line of output, and when it came.</summary>
internal readonly record struct TimedLine(TimeSpan At, string Text);

/// <summary>
/// A command whose output is read line by line with the time since its start. Killed, with its children, when its
/// time is up or when it is disposed of.
/// </summary>
internal sealed class ConsoleProcess : IDisposable
{
    private readonly Process _process;
    private readonly long _started;
    private readonly List<TimedLine> _lines = [];
    private readonly StringBuilder[] _unfinished = [new(), new()];
    private readonly Task _readers;

    public ConsoleProcess(string file, IEnumerable<string> arguments, string? workingDirectory = null)
    {
        ProcessStartInfo start = new(file, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingDirectory ?? Environment.CurrentDirectory,
        };
        _started = Stopwatch.GetTimestamp();
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{file} did not start");
        _process.StandardInput.Close();
        _readers = Task.WhenAll(
            Read(_process.StandardOutput, _unfinished[0]), Read(_process.StandardError, _unfinished[1]));
    }

    /// <summary>Process id of the command itself.</summary>
    public int Id => _process.Id;

    /// <summary>Everything that has been printed so far.</summary>
    public TimedLine[] Lines
    {
        get
        {
            lock (_lines)
            {
                return _lines.ToArray();
            }
        }
    }

    /// <summary>Waits for the end; kills at the limit. The exit status, or null when it was killed.</summary>
    public int? WaitForExit(TimeSpan limit)
    {
        if (!_process.WaitForExit(limit))
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
            return null;
        }

        _readers.Wait(TimeSpan.FromSeconds(5));
        return _process.ExitCode;
    }

    /// <summary>Waits until a line contains the text; null when the process ends or the limit passes first.</summary>
    public TimeSpan? WaitForLine(string text, TimeSpan limit)
    {
        long until = Stopwatch.GetTimestamp() + (long)(limit.TotalSeconds * Stopwatch.Frequency);
        while (true)
        {
            bool ended = _process.HasExited && _readers.IsCompleted;
            foreach (TimedLine line in Lines)
            {
                if (line.Text.Contains(text, StringComparison.Ordinal))
                {
                    return line.At;
                }
            }

            if (ended || Stopwatch.GetTimestamp() > until)
            {
                return null;
            }

            Thread.Sleep(5);
        }
    }

    /// <summary>
    /// Waits until a line, or what has come of one, ends with the text: a prompt. The time since the start; null when
    /// the process ends or the limit passes first.
    /// </summary>
    public TimeSpan? WaitForPrompt(string text, TimeSpan limit)
    {
        long until = Stopwatch.GetTimestamp() + (long)(limit.TotalSeconds * Stopwatch.Frequency);
        while (Stopwatch.GetTimestamp() < until && !(_process.HasExited && _readers.IsCompleted))
        {
            lock (_lines)
            {
                if (_unfinished.Any(u => u.ToString().TrimEnd().EndsWith(text, StringComparison.Ordinal)))
                {
                    return Stopwatch.GetElapsedTime(_started);
                }
            }

            Thread.Sleep(5);
        }

        return null;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private async Task Read(StreamReader reader, StringBuilder unfinished)
    {
        char[] buffer = new char[4096];
        int count;
        while ((count = await reader.ReadAsync(buffer).ConfigureAwait(false)) > 0)
        {
            TimeSpan at = Stopwatch.GetElapsedTime(_started);
            lock (_lines)
            {
                Append(buffer.AsSpan(0, count), unfinished, at);
            }
        }

        lock (_lines)
        {
            if (unfinished.Length > 0)
            {
                Append("\n", unfinished, Stopwatch.GetElapsedTime(_started));
            }
        }
    }

    private void Append(ReadOnlySpan<char> text, StringBuilder unfinished, TimeSpan at)
    {
        foreach (char c in text)
        {
            if (c == '\n')
            {
                _lines.Add(new TimedLine(at, unfinished.ToString().TrimEnd('\r')));
                unfinished.Clear();
            }
            else
            {
                unfinished.Append(c);
            }
        }
    }
}
