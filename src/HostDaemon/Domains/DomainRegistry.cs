using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon.Domains;

/// <summary>
/// The domains of this host. What is true lives in the domains' own processes and run-time directories; this
/// is the view of it, made anew when the daemon starts. Thread-safe.
/// </summary>
internal sealed class DomainRegistry
{
    /// <summary>DOMID_FIRST_RESERVED of xen.h: ids from here on mean something else.</summary>
    private const int FirstReservedId = 0x7ff0;

    /// <summary>What a domain gets to answer; it answers at once unless it hangs.</summary>
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);

    private readonly object _lock = new();
    private readonly SortedDictionary<int, DomainRecord> _records = [];
    private readonly Places _places;
    private readonly Supervisor _supervisor;

    private readonly TranslationKeeper _translations;

    public MessageLog Messages { get; }
    public EndedDomains Ended { get; }

    public DomainRegistry(Places places, TranslationKeeper translations)
    {
        _places = places;
        _translations = translations;
        Messages = new MessageLog(places.Messages);
        Ended = new EndedDomains(places.Ended);
        _supervisor = new Supervisor(this);
    }

    /// <summary>Finds the domains that run, and those that ended while no daemon did.</summary>
    public void Rediscover()
    {
        foreach (string directory in Directory.EnumerateDirectories(_places.Domains))
        {
            DomainSpec? spec = ReadSpec(directory);
            if (spec == null)
            {
                Directory.Delete(directory, recursive: true);
                continue;
            }
            DomainRecord record = new(spec, directory) { Started = true };
            lock (_lock)
            {
                _records[spec.Id] = record;
            }
            _supervisor.Watch(record);
        }
        _translations.Rediscover();
    }

    private static DomainSpec? ReadSpec(string directory)
    {
        try
        {
            return JsonSerializer.Deserialize(
                File.ReadAllBytes(Path.Combine(directory, DomainFiles.Spec)), ApiJson.Default.DomainSpec);
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            Messages($"{directory}: not the directory of a domain ({e.Message}); removed");
            return null;
        }

        static void Messages(string text) => Console.Error.WriteLine(text);
    }

    /// <summary>Makes a domain; when this returns the guest runs (or waits, paused).</summary>
    /// <exception cref="ProblemException">the name is taken, or it cannot be built; nothing is left of
    /// it</exception>
    public async Task<DomainRecord> Create(GuestConfig config, bool paused, int quickRestarts = 0)
    {
        DomainRecord record = Reserve(config, paused, quickRestarts);
        try
        {
            Directory.CreateDirectory(record.Directory);
            AtomicFile.Write(Path.Combine(record.Directory, DomainFiles.Spec),
                JsonSerializer.SerializeToUtf8Bytes(record.Spec, ApiJson.Default.DomainSpec));
            record.ProcessId = await DomainProcess.Start(record.Directory);
        }
        catch (Exception e) when (e is DomainStartException or IOException)
        {
            Forget(record);
            throw new ProblemException(422, ProblemCodes.BuildFailed, e.Message);
        }
        record.Started = true;
        Messages.Add($"d{record.Id} {record.Name}: created, {config.MemoryMiB} MiB, {config.Vcpus} vCPUs,"
            + $" process {record.ProcessId}");
        _supervisor.Watch(record);
        return record;
    }

    private DomainRecord Reserve(GuestConfig config, bool paused, int quickRestarts)
    {
        lock (_lock)
        {
            if (_records.Values.FirstOrDefault(r => r.Name == config.Name) is { } other)
            {
                throw new ProblemException(409, ProblemCodes.NameInUse,
                    $"name: a domain '{config.Name}' exists already (id {other.Id})");
            }
            int id = NextId();
            DomainRecord record = new(new DomainSpec
            {
                Id = id,
                Config = config,
                Paused = paused,
                ConsoleLog = _places.ConsoleLog(config.Name),
                TranslationStore = _translations.Store,
                TranslationJournal = _translations.NewJournal(),
                Started = DateTimeOffset.UtcNow,
                QuickRestarts = quickRestarts,
            }, _places.Domain(id));
            _records[id] = record;
            return record;
        }
    }

    /// <summary>Ids grow, as Xen's do, so that one that has just gone does not mean another domain.</summary>
    private int NextId()
    {
        int id = 1;
        try
        {
            id = int.Parse(File.ReadAllText(_places.NextDomainId), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or FormatException)
        {
            // The first domain since the machine started.
        }
        while (id >= FirstReservedId || id < 1 || _records.ContainsKey(id)
            || Directory.Exists(_places.Domain(id)))
        {
            id = id >= FirstReservedId - 1 || id < 1 ? 1 : id + 1;
        }
        string next = (id + 1).ToString(CultureInfo.InvariantCulture);
        AtomicFile.Write(_places.NextDomainId, Encoding.ASCII.GetBytes(next));
        return id;
    }

    /// <summary>Removes the last traces of a domain whose process is gone.</summary>
    public void Forget(DomainRecord record)
    {
        _translations.Take(record.Spec.TranslationJournal);
        try
        {
            RemoveCgroup(Path.Combine(record.Directory, DomainFiles.Cgroup));
            Directory.Delete(record.Directory, recursive: true);
        }
        catch (IOException e)
        {
            Console.Error.WriteLine($"{record.Directory}: {e.Message}");
        }
        lock (_lock)
        {
            _records.Remove(record.Id);
        }
        record.Gone.TrySetResult();
    }

    private static void RemoveCgroup(string record)
    {
        if (File.Exists(record))
        {
            Directory.Delete(File.ReadAllText(record));
        }
    }

    /// <summary>A domain by id or name.</summary>
    /// <exception cref="ProblemException">there is none</exception>
    public DomainRecord Find(string idOrName)
    {
        lock (_lock)
        {
            DomainRecord? found =
                int.TryParse(idOrName, NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                ? _records.GetValueOrDefault(id) : _records.Values.FirstOrDefault(r => r.Name == idOrName);
            return found is { Started: true } ? found
                : throw new ProblemException(
                    404, ProblemCodes.NoSuchDomain, $"there is no domain '{idOrName}'");
        }
    }

    public IReadOnlyList<DomainRecord> All()
    {
        lock (_lock)
        {
            return [.. _records.Values.Where(r => r.Started)];
        }
    }

    /// <summary>A name for a stopped domain that makes room: NAME-1, NAME-2, ...</summary>
    public string FreeName(string name)
    {
        lock (_lock)
        {
            for (int i = 1; ; i++)
            {
                string candidate = string.Create(CultureInfo.InvariantCulture,
                    $"{name[..Math.Min(name.Length, GuestConfigReader.MaxNameLength - 6)]}-{i}");
                if (_records.Values.All(r => r.Name != candidate))
                {
                    return candidate;
                }
            }
        }
    }

    public async Task<DomainInfo?> Info(DomainRecord record)
    {
        try
        {
            return (await Ask(record, ControlOperation.Info)).Info;
        }
        catch (ProblemException)
        {
            // It ended since we looked, or hangs.
            return null;
        }
    }

    /// <summary>Asks a domain's process.</summary>
    /// <exception cref="ProblemException">it refuses, or does not answer</exception>
    public Task<ControlReply> Ask(
        DomainRecord record, ControlOperation operation, string? argument = null) =>
        Ask(record, new ControlRequest(DomainSpec.CurrentProtocol, operation, argument));

    /// <inheritdoc cref="Ask(DomainRecord, ControlOperation, string?)"/>
    public async Task<ControlReply> Ask(
        DomainRecord record, ControlRequest request, TimeSpan? patience = null)
    {
        using CancellationTokenSource timeout = new(patience ?? AnswerTimeout);
        ControlReply? reply = null;
        try
        {
            reply = await ControlClient.Ask(record.ControlSocket, request, timeout.Token);
        }
        catch (OperationCanceledException)
        {
            // Reported below.
        }
        return reply switch
        {
            null => throw new ProblemException(503, ProblemCodes.DomainUnreachable,
                $"the process of domain '{record.Name}' (id {record.Id}) does not answer"),
            { Problem: { } p } => throw new ProblemException(p.Status, p.Code, p.Detail),
            _ => reply,
        };
    }

    /// <summary>Ends a domain at once; when this returns nothing of it is left.</summary>
    public async Task Destroy(DomainRecord record)
    {
        try
        {
            await Ask(record, ControlOperation.Destroy);
        }
        catch (ProblemException)
        {
            // It hangs or is ending anyway; the wait below kills it if need be.
        }
        if (!record.Gone.Task.IsCompleted)
        {
            await _supervisor.SeeOff(record);
        }
        await record.Gone.Task;
    }
}
