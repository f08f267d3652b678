using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Ryokan.Api;
using Ryokan.Linux.Interop;

namespace Ryokan.HostDaemon.Domains;

/// <summary>
/// Keeps the store of translations: what a domain that has ended noted in its journal is translated into it, by a process of its own, one after
/// the other. Whatever goes wrong costs later domains time and nothing else. Thread-safe.
/// </summary>
internal sealed class TranslationKeeper : IDisposable
{
    private const string Program = "Ryokan.DomainHost";
    private const string Taken = ".taken";
    private const int SigKill = 9;

    /// <summary>A journal of some hundred translations is not worth a new store: what a guest does differs a little from run to run.</summary>
    private const long LeastBytes = 64 << 10;

    private readonly object _lock = new();
    private Task _last = Task.CompletedTask;
    private int _running;
    private bool _stopped;

    /// <summary>The folder; null: no translations are kept.</summary>
    public string? Folder { get; }

    public TranslationKeeper(Places places) => Folder = places.Translations is { } folder && TryMake(folder) ? folder : null;

    private static bool TryMake(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"translations are not kept: {e.Message}");
            return false;
        }
    }

    /// <summary>Takes over the journals of domains that ended while no daemon ran, and those that the last one did not get to.</summary>
    public void Rediscover(IReadOnlySet<int> running)
    {
        foreach (string path in Folder == null ? [] : Directory.GetFiles(Folder))
        {
            if (Path.GetExtension(path) == Taken)
            {
                Enqueue(path);
            }
            else if (Path.GetExtension(path) == TranslationFiles.JournalSuffix
                && int.TryParse(Path.GetFileNameWithoutExtension(path), NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                && !running.Contains(id))
            {
                Take(id);
            }
        }
    }

    /// <summary>Takes over the journal of a domain whose process is gone. Returns at once.</summary>
    public void Take(int domain)
    {
        string? journal = Folder == null ? null : Path.Combine(Folder, TranslationFiles.Journal(domain));
        if (journal == null || !File.Exists(journal))
        {
            return;
        }
        try
        {
            // A domain of the same id may come before its turn.
            string taken = Path.Combine(Folder!, Guid.NewGuid().ToString("N") + Taken);
            File.Move(journal, taken);
            Enqueue(taken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"{journal}: {e.Message}");
        }
    }

    private void Enqueue(string journal)
    {
        lock (_lock)
        {
            _last = _last.ContinueWith(_ => Translate(journal), TaskScheduler.Default);
        }
    }

    private void Translate(string journal)
    {
        try
        {
            if (new FileInfo(journal).Length >= LeastBytes && !Run(journal))
            {
                return;
            }
            File.Delete(journal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            Console.Error.WriteLine($"{journal}: {e.Message}");
        }
    }

    /// <summary>Runs the process; false when the daemon stops and the journal is left to the next one.</summary>
    private bool Run(string journal)
    {
        string program = Path.Combine(AppContext.BaseDirectory, Program), errors = Path.Combine(Folder!, "errors.log");
        int pid;
        SafeFileHandle output;
        lock (_lock)
        {
            if (_stopped)
            {
                return false;
            }
            pid = _running = DetachedProcess.Start(
                program, ["--translate", journal, Path.Combine(Folder!, TranslationFiles.Store)], errors, out output);
        }
        using (FileStream said = new(output, FileAccess.Read, 1))
        {
            said.CopyTo(Stream.Null); // until its end
        }
        int status;
        lock (_lock)
        {
            status = DetachedProcess.AwaitExit(pid);
            _running = 0;
        }
        if (status != 0 && !_stopped)
        {
            Console.Error.WriteLine($"{journal}: not translated (status {status}), see {errors}");
        }
        return !_stopped;
    }

    /// <summary>Ends the process that runs, if any: what it had to do waits for the next daemon.</summary>
    public void Dispose()
    {
        Task last;
        lock (_lock)
        {
            _stopped = true;
            last = _last;
            if (_running != 0)
            {
                DetachedProcess.Signal(_running, SigKill);
            }
        }
        last.Wait();
    }
}
