using System;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Linux.Interop;

namespace Ryokan.HostDaemon.Domains;

/// <summary>Starts domain processes and sees them off.</summary>
internal static class DomainProcess
{
    private const string Program = "Ryokan.DomainHost";
    private const int MaxReportBytes = 64 << 10;
    private const int SigKill = 9;

    /// <summary>Building reads a kernel from disk; a machine that takes longer has other problems.</summary>
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(60);

    /// <summary>A process that has been told to end and has not by then is killed.</summary>
    private static readonly TimeSpan EndTimeout = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Starts the process of a domain and waits until the guest runs. Returns the process id.
    /// </summary>
    /// <exception cref="DomainStartException">it could not be built; nothing of the process is
    /// left</exception>
    public static async Task<int> Start(string directory)
    {
        string program = Path.Combine(AppContext.BaseDirectory, Program);
        string errors = Path.Combine(directory, DomainFiles.Errors);
        int pid;
        SafeFileHandle output;
        try
        {
            pid = DetachedProcess.Start(program, ["--domain", directory], errors, out output);
        }
        catch (InvalidOperationException e)
        {
            throw new DomainStartException($"the domain's process cannot be started: {e.Message}");
        }
        string? failure;
        using (output)
        {
            Task<string?> report = Task.Run(() => ReadReport(output, errors));
            failure = await Task.WhenAny(report, Task.Delay(StartTimeout)) == report ? await report
                : $"the domain was not ready after {StartTimeout.TotalSeconds} s";
        }
        if (failure != null)
        {
            await AwaitExit(pid, TimeSpan.Zero);
            throw new DomainStartException(failure);
        }
        return pid;
    }

    /// <summary>Reads the line a starting domain writes; returns what went wrong, or null.</summary>
    private static string? ReadReport(SafeFileHandle output, string errors)
    {
        using FileStream stream = new(output, FileAccess.Read, 1);
        byte[] buffer = new byte[MaxReportBytes];
        int filled = 0;
        for (int n; filled < buffer.Length && (n = stream.Read(buffer.AsSpan(filled))) > 0;)
        {
            filled += n;
            if (buffer[filled - 1] == '\n')
            {
                break;
            }
        }
        try
        {
            return JsonSerializer.Deserialize(buffer.AsSpan(0, filled), ApiJson.Default.StartReport)?.Error;
        }
        catch (JsonException)
        {
            return $"the domain's process ended before the guest ran: {FirstLine(errors)}";
        }
    }

    /// <summary>What a process that failed said first: the lines after it are its call stack.</summary>
    public static string FirstLine(string errors)
    {
        try
        {
            return File.ReadLines(errors).FirstOrDefault(line => line.Length != 0) ?? "it said nothing";
        }
        catch (IOException)
        {
            return "it said nothing";
        }
    }

    /// <summary>Waits until the process is gone; kills it when that takes too long.</summary>
    public static Task AwaitExit(int pid) => AwaitExit(pid, EndTimeout);

    private static async Task AwaitExit(int pid, TimeSpan patience)
    {
        DateTime deadline = DateTime.UtcNow + patience;
        for (int delay = 1; pid != 0 && !IsGone(pid); delay = Math.Min(delay * 2, 50))
        {
            if (DateTime.UtcNow > deadline)
            {
                DetachedProcess.Signal(pid, SigKill);
            }
            await Task.Delay(delay);
        }
    }

    /// <summary>A child is reaped; a process of an earlier daemon is looked up.</summary>
    private static bool IsGone(int pid) => DetachedProcess.Reap(pid) && !DetachedProcess.Signal(pid, 0);
}

/// <summary>A domain could not be started; the message is one line.</summary>
internal sealed class DomainStartException(string message) : Exception(message);
