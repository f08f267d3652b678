using System;
using System.Collections.Generic;
using System.Diagnostics;
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
        _readers = Task.WhenAll(Read(_process.StandardOutput), Read(_process.StandardError));
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

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private async Task Read(System.IO.StreamReader reader)
    {
        while (await reader.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            TimeSpan at = Stopwatch.GetElapsedTime(_started);
            lock (_lines)
            {
                _lines.Add(new TimedLine(at, line.TrimEnd('\r')));
            }
        }
    }
}
