using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Threading;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;
using Ryokan.DomainBuilder;
using Ryokan.DomainHost.Console;
using Ryokan.DomainHost.Scheduling;
using Ryokan.Hypervisor;
using Ryokan.Linux.Interop;
using HypervisorActivity = Ryokan.Hypervisor.VcpuActivity;

namespace Ryokan.DomainHost.Hosted;

/// <summary>
/// Runs one guest for the daemon: described by a file in its run-time directory, reached by sockets there. It
/// does not need the daemon once it runs, and leaves behind how it ended.
/// </summary>
internal sealed class HostedRun
{
    /// <summary>How much of the console goes into a crash report.</summary>
    private const int ReportedConsoleBytes = 4096;

    /// <summary>What slow console clients get to take the last output.</summary>
    private static readonly TimeSpan LastOutput = TimeSpan.FromSeconds(2);

    private readonly string _directory;
    private readonly RunningGuest _guest;
    private readonly SettingsControl _settings;
    private readonly object _lock = new();
    private readonly List<ConsoleClient> _clients = [];
    private readonly ManualResetEventSlim _ended = new(false);
    private readonly ManualResetEventSlim _released = new(false);
    private DomainSpec _spec;
    private DomainEnd? _end;
    private int _waiting;

    private readonly DomainMessages _messages;

    private HostedRun(string directory, DomainSpec spec, RunningGuest guest, DomainMessages messages)
    {
        (_directory, _spec, _guest, _messages) = (directory, spec, guest, messages);
        _settings = new SettingsControl(guest, spec.Config, Path.Combine(directory, DomainFiles.Cgroup));
    }

    /// <summary>Runs the guest described in a directory; returns the process's exit status.</summary>
    public static int Run(string directory)
    {
        DomainSpec spec;
        RunningGuest guest;
        ConsoleHub hub = new();
        DomainMessages messages = new();
        try
        {
            spec = ReadSpec(directory);
            hub.Attach(new ConsoleLog(spec.ConsoleLog), withHistory: false);
            GuestSpec description = new(spec.Id, spec.Config)
            {
                TranslationStore = spec.TranslationStore,
                TranslationJournal = spec.TranslationJournal,
            };
            guest = RunningGuest.Create(
                description, hub, messages.Add, Path.Combine(directory, DomainFiles.StoreSocket));
        }
        catch (Exception e) when (e is DomainBuildException or OperatorException
            or PlatformNotSupportedException)
        {
            Report(e.Message);
            return 1;
        }
        HostedRun run = new(directory, spec, guest, messages);
        if (run.Start() is { } error)
        {
            guest.Dispose();
            Report(error);
            return 1;
        }
        run.Serve();
        return 0;
    }

    /// <summary>Makes the vCPUs' threads, puts them in their places, and lets them go; or says why not.</summary>
    private string? Start()
    {
        _guest.Domain.Start(paused: true);
        try
        {
            _settings.Begin(_messages.Add);
        }
        catch (OperatorException e)
        {
            _guest.Domain.Destroy();
            return e.Message;
        }
        return null;
    }

    private static DomainSpec ReadSpec(string directory)
    {
        string path = Path.Combine(directory, DomainFiles.Spec);
        try
        {
            byte[] text = File.ReadAllBytes(path);
            DomainSpec? spec = JsonSerializer.Deserialize(text, ApiJson.Default.DomainSpec);
            return spec is { Protocol: DomainSpec.CurrentProtocol } ? spec
                : throw new OperatorException(
                    $"{path}: not a description of version {DomainSpec.CurrentProtocol}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new OperatorException($"{path}: {e.Message}");
        }
    }

    /// <summary>Tells the starter how it went, and lets go of it.</summary>
    private static void Report(string? error)
    {
        try
        {
            using Stream output = System.Console.OpenStandardOutput();
            StartReport report = new(error);
            byte[] line = JsonSerializer.SerializeToUtf8Bytes(report, ApiJson.Default.StartReport);
            output.Write([.. line, (byte)'\n']);
        }
        catch (IOException)
        {
            // The starter is gone; the next daemon finds the domain by its directory.
        }
        DetachedProcess.DropOutput();
    }

    private void Serve()
    {
        using Listener control = new(Path.Combine(_directory, DomainFiles.ControlSocket));
        using Listener console = new(Path.Combine(_directory, DomainFiles.ConsoleSocket));
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        control.Start("control-accept", new ControlServer(Handle).Serve);
        console.Start("console-accept", AddClient);
        if (!_spec.Paused)
        {
            _guest.Domain.Unpause();
        }
        Report(null);
        ShutdownReason reason = _guest.Domain.WaitForShutdown(Timeout.InfiniteTimeSpan)!.Value;
        _guest.Console.Dispose();
        // A successor may need what its devices hold.
        _guest.Devices.Dispose();
        _messages.End(LastOutput);
        End(reason);
        FinishClients();
        if (_end!.Action is ShutdownAction.Preserve or ShutdownAction.RenameRestart)
        {
            _released.Wait();
            FinishClients();
        }
        _guest.Dispose();

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            _guest.Domain.Destroy();
            _released.Set();
        }
    }

    /// <summary>Writes down how it ended, then answers who waits for it.</summary>
    private void End(ShutdownReason reason)
    {
        DomainEnd end = new()
        {
            Id = _spec.Id,
            Name = _spec.Name,
            Reason = ReasonOf(reason),
            At = DateTimeOffset.UtcNow,
            Summary = _guest.Domain.Crash?.Reason,
            Report = reason is ShutdownReason.Crash or ShutdownReason.Watchdog ? CrashText() : null,
            Action = ActionFor(reason),
        };
        AtomicFile.Write(Path.Combine(_directory, DomainFiles.End),
            JsonSerializer.SerializeToUtf8Bytes(end, ApiJson.Default.DomainEnd));
        _end = end;
        _ended.Set();
    }

    private static EndReason ReasonOf(ShutdownReason reason) => reason switch
    {
        ShutdownReason.Poweroff => EndReason.Poweroff,
        ShutdownReason.Reboot => EndReason.Reboot,
        ShutdownReason.Suspend => EndReason.Suspend,
        ShutdownReason.Watchdog => EndReason.Watchdog,
        ShutdownReason.SoftReset => EndReason.SoftReset,
        ShutdownReason.Destroyed => EndReason.Destroyed,
        _ => EndReason.Crash,
    };

    private ShutdownAction ActionFor(ShutdownReason reason) => reason switch
    {
        ShutdownReason.Poweroff => _spec.Config.OnPoweroff,
        ShutdownReason.Reboot => _spec.Config.OnReboot,
        ShutdownReason.Destroyed => ShutdownAction.Destroy,
        _ => _spec.Config.OnCrash,
    };

    private string CrashText()
    {
        StringBuilder text = new();
        if (_guest.Domain.Crash is { } crash)
        {
            text.Append("vCPU ").Append(crash.VcpuId).Append(": ").AppendLine(crash.Reason)
                .AppendLine(crash.Details);
        }
        text.AppendLine("last console output:");
        // The guest chose these bytes; they end up on somebody's terminal.
        foreach (char c in Encoding.UTF8.GetString(_guest.Hub.Tail(ReportedConsoleBytes)))
        {
            if (c is '\n' or '\t' || !char.IsControl(c))
            {
                text.Append(c);
            }
        }
        return text.ToString();
    }

    private void AddClient(System.Net.Sockets.Socket socket)
    {
        lock (_lock)
        {
            _clients.RemoveAll(
                c => c.Writer is { IsAlive: false } writer
                    && writer.ThreadState.HasFlag(ThreadState.Stopped));
            _clients.Add(ConsoleClient.Serve(socket, _guest.Hub, _guest.Console));
        }
    }

    private void FinishClients()
    {
        long deadline = Environment.TickCount64 + (long)LastOutput.TotalMilliseconds;
        lock (_lock)
        {
            _clients.ForEach(c => c.Finish());
            foreach (ConsoleClient client in _clients)
            {
                if (client.Writer is { IsAlive: true } writer)
                {
                    writer.Join((int)Math.Max(1, deadline - Environment.TickCount64));
                }
            }
        }
        // Answers to those who wait for the end are under way on other threads.
        SpinWait.SpinUntil(() => Volatile.Read(ref _waiting) == 0, LastOutput);
    }

    private ControlReply Handle(ControlRequest request)
    {
        switch (request.Operation)
        {
            case ControlOperation.Info:
                return new ControlReply(Info: Info());
            case ControlOperation.Wait:
                Interlocked.Increment(ref _waiting);
                _ended.Wait();
                Interlocked.Decrement(ref _waiting);
                return new ControlReply(End: _end);
            case ControlOperation.Destroy:
                _guest.Domain.Destroy();
                _released.Set();
                return new ControlReply();
            case ControlOperation.Rename:
                return Rename(request.Argument ?? "");
            case ControlOperation.Messages:
                return new ControlReply(Messages: _messages.Take(
                    long.TryParse(request.Argument, out long safe) ? safe : 0));
        }
        if (_guest.Domain.State == DomainState.ShutDown)
        {
            return ControlServer.Refuse(409, ProblemCodes.WrongState, $"domain '{_spec.Name}' has stopped");
        }
        return HandleRunning(request);
    }

    private ControlReply HandleRunning(ControlRequest request)
    {
        switch (request.Operation)
        {
            case ControlOperation.Pause:
                _guest.Domain.Pause();
                return new ControlReply();
            case ControlOperation.Unpause:
                _guest.Unpause();
                return new ControlReply();
            case ControlOperation.Shutdown:
                return Asked(_guest.Control.RequestShutdown("poweroff"));
            case ControlOperation.Reboot:
                return Asked(_guest.Control.RequestShutdown("reboot"));
            case ControlOperation.Set:
                return request.Settings == null
                    ? ControlServer.Refuse(400, ProblemCodes.BadRequest, "no settings to change")
                    : _settings.Set(request.Settings);
            case ControlOperation.Network:
                return NetworkControl.Handle(_guest.Devices.Network, request.Network);
            case ControlOperation.Disk:
                return DiskControl.Handle(_guest.Devices.Disks, request.Disk);
            case ControlOperation.Sysrq:
                return request.Argument is [var key] && char.IsAsciiLetterOrDigit(key)
                    ? Asked(_guest.Control.RequestSysrq(key))
                    : ControlServer.Refuse(
                        400, ProblemCodes.BadRequest, "a SysRq key is one letter or digit");
            default:
                return ControlServer.Refuse(
                    400, ProblemCodes.BadRequest, $"unknown operation {request.Operation}");
        }
    }

    private ControlReply Asked(bool listens) => listens ? new ControlReply()
        : ControlServer.Refuse(409, ProblemCodes.NotSupportedByGuest,
            $"domain '{_spec.Name}' does not listen for that (yet):"
            + " its kernel watches no such node in the store");

    private ControlReply Rename(string name)
    {
        if (!_ended.IsSet || GuestConfigReader.NameError(name) != null)
        {
            return ControlServer.Refuse(409, ProblemCodes.WrongState, "only a stopped domain can be renamed");
        }
        _spec = _spec with { RenamedTo = name };
        AtomicFile.Write(Path.Combine(_directory, DomainFiles.Spec),
            JsonSerializer.SerializeToUtf8Bytes(_spec, ApiJson.Default.DomainSpec));
        return new ControlReply();
    }

    private DomainInfo Info()
    {
        Domain domain = _guest.Domain;
        IReadOnlyList<VcpuStatus> vcpus = domain.VcpuStatus;
        return new DomainInfo
        {
            Id = _spec.Id,
            Name = _spec.Name,
            Uuid = _spec.Config.Uuid,
            State = StateOf(domain.State, vcpus),
            MemoryMiB = (int)(domain.CurrentPages / 256),
            MaxMemoryMiB = (int)(_settings.MaximumKiB >> 10),
            CpuSeconds = domain.CpuTime.TotalSeconds,
            Started = _spec.Started,
            Vcpus = [.. vcpus.Select(Describe)],
            Scheduling = _settings.Scheduling,
            PauseReason = _guest.Devices.Disks.PauseReason,
            Screen = _guest.Devices.Screen?.Info,
            ProcessId = Environment.ProcessId,
        };
    }

    private static VcpuInfo Describe(VcpuStatus v) => new(
        v.Id, Activity(v.Activity), v.CpuTime.TotalSeconds,
        HostThread.Processor(v.HostThread), HostCpus.Restriction(HostThread.Affinity(v.HostThread)));

    private RunState StateOf(DomainState state, IReadOnlyList<VcpuStatus> vcpus) => state switch
    {
        DomainState.ShutDown => _end?.Reason is EndReason.Crash or EndReason.Watchdog ? RunState.Crashed
            : _end == null ? RunState.Dying : RunState.Shutdown,
        DomainState.Building or DomainState.Paused => RunState.Paused,
        _ => vcpus.Any(v => v.Activity == HypervisorActivity.Running) ? RunState.Running : RunState.Blocked,
    };

    private static Api.Wire.VcpuActivity Activity(HypervisorActivity activity) => activity switch
    {
        HypervisorActivity.Running => Api.Wire.VcpuActivity.Running,
        HypervisorActivity.Blocked => Api.Wire.VcpuActivity.Blocked,
        HypervisorActivity.Paused => Api.Wire.VcpuActivity.Paused,
        _ => Api.Wire.VcpuActivity.Offline,
    };
}
