using System;
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
    private const string Program = "Ryokan.DomainHost", Journal = ".journal";
    private const int SigKill = 9;

    /// <summary>A journal of some hundred translations is not worth a new store: what a guest does differs a little from run to run.</summary>
    private const long LeastBytes = 64 << 10;

    private readonly object _lock = new();
    private Task _last = Task.CompletedTask;
    private int _running;
    private bool _stopped;

    /// <summary>Null: no translations are kept.</summary>
    private readonly string? _folder;

    public TranslationKeeper(Places places) => _folder = places.Translations is { } folder && TryMake(folder) ? folder : null;

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

    /// <summary>The file that domains use.</summary>
    public string? Store => InFolder("store");

    /// <summary>A file for what a new domain has to translate.</summary>
    public string? NewJournal() => InFolder(Guid.NewGuid().ToString("N") + Journal);

    private string? InFolder(string name) => _folder == null ? null : Path.Combine(_folder, name);

    /// <summary>Takes over the journals that no domain writes any more: of those that ended without a daemon, or that the last one did not get to.</summary>
    public void Rediscover()
    {
        foreach (string path in _folder == null ? [] : Directory.GetFiles(_folder, "*" + Journal))
        {
            if (!IsInUse(path))
            {
                Take(path);
            }
        }
    }

    /// <summary>Whether a process has it open (flock(2), by .NET's file sharing).</summary>
    private static bool IsInUse(string path)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    /// <summary>Takes over the journal of a domain whose process is gone, if it made one. Returns at once.</summary>
    public void Take(string? journal)
    {
        if (journal != null && File.Exists(journal))
        {
            lock (_lock)
            {
                _last = _last.ContinueWith(_ => Translate(journal), TaskScheduler.Default);
            }
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
        string program = Path.Combine(AppContext.BaseDirectory, Program), errors = InFolder("errors.log")!;
        int pid;
        SafeFileHandle output;
        lock (_lock)
        {
            if (_stopped)
            {
                return false;
            }
            pid = _running = DetachedProcess.Start(
                program, ["--translate", journal, Store!], errors, out output);
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
