using System;
using System.Globalization;
using System.IO;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.Api;
using Ryokan.Api.Control;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;

namespace Ryokan.HostDaemon.Domains;

/// <summary>Waits for the end of every domain and does what its description says then.</summary>
internal sealed class Supervisor(DomainRegistry registry)
{
    /// <summary>
    /// A guest that crashes this soon after its start, this often in a row, is not restarted again.
    /// </summary>
    private static readonly TimeSpan QuickCrash = TimeSpan.FromSeconds(10);
    private const int MaxQuickRestarts = 5;

    /// <summary>Watches a domain from now on. Returns at once.</summary>
    public void Watch(DomainRecord record) => _ = Task.Run(async () =>
    {
        try
        {
            await WatchUntilGone(record);
        }
        catch (Exception e)
        {
            // A supervisor that dies silently would leave a domain that nobody restarts or removes.
            Environment.FailFast($"supervision of domain {record.Id} failed", e);
        }
    });

    private async Task WatchUntilGone(DomainRecord record)
    {
        if (record.ProcessId == 0)
        {
            record.ProcessId = (await registry.Info(record))?.ProcessId ?? 0;
        }
        Task messages = Collect(record);
        ControlReply? reply = await ControlClient.Ask(
            record.ControlSocket, ControlOperation.Wait, null, CancellationToken.None);
        await messages;
        DomainEnd end = reply?.End ?? ReadEnd(record);
        registry.Messages.Add(Describe(end));
        bool stays = reply?.End != null
            && end.Action is ShutdownAction.Preserve or ShutdownAction.RenameRestart;
        if (stays)
        {
            if (end.Action == ShutdownAction.RenameRestart)
            {
                await Rename(record);
                end = await Restart(record, end);
            }
            Finish(record, end);
            // Answers at once while the domain stands; no answer any more means that it was destroyed.
            while (!record.Gone.Task.IsCompleted && await Stands(record))
            {
                await Task.WhenAny(record.Gone.Task, Task.Delay(1000));
            }
            await SeeOff(record);
            return;
        }
        await SeeOff(record);
        if (end.Action is ShutdownAction.Restart or ShutdownAction.RenameRestart)
        {
            end = await Restart(record, end);
        }
        Finish(record, end);
    }

    /// <summary>Takes over what the domain has to tell the operator, until it ends.</summary>
    private async Task Collect(DomainRecord record)
    {
        string safe = "0";
        while (await ControlClient.Ask(
            record.ControlSocket, ControlOperation.Messages, safe, CancellationToken.None)
            is { Messages: { Count: > 0 } lines })
        {
            foreach (DomainMessage line in lines)
            {
                registry.Messages.Add($"d{record.Id} {record.Name}: {line.Text}");
            }
            safe = lines[^1].Number.ToString(CultureInfo.InvariantCulture);
        }
    }

    private static async Task<bool> Stands(DomainRecord record) =>
        await ControlClient.Ask(
            record.ControlSocket, ControlOperation.Info, null, CancellationToken.None) != null;

    /// <summary>Waits for the process, then removes what is left.</summary>
    public async Task SeeOff(DomainRecord record)
    {
        await DomainProcess.AwaitExit(record.ProcessId);
        registry.Forget(record);
    }

    private void Finish(DomainRecord record, DomainEnd end)
    {
        registry.Ended.Add(end);
        record.End.TrySetResult(end);
    }

    /// <summary>What the process wrote down before it went, or that it wrote nothing.</summary>
    private static DomainEnd ReadEnd(DomainRecord record)
    {
        try
        {
            DomainEnd? end = JsonSerializer.Deserialize(
                File.ReadAllBytes(Path.Combine(record.Directory, DomainFiles.End)),
                    ApiJson.Default.DomainEnd);
            if (end != null)
            {
                return end;
            }
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            // It ended without a word.
        }
        return new DomainEnd
        {
            Id = record.Id,
            Name = record.Name,
            Reason = EndReason.Lost,
            At = DateTimeOffset.UtcNow,
            Summary = "its process ended without saying why: "
                + DomainProcess.FirstLine(Path.Combine(record.Directory, DomainFiles.Errors)),
            Action = record.Spec.Config.OnCrash,
        };
    }

    private static string Describe(DomainEnd end)
    {
        string line = $"d{end.Id} {end.Name}: {end.Reason.ToString().ToLowerInvariant()}";
        line += end.Summary == null ? "" : $": {end.Summary}";
        return end.Report == null ? line : $"{line}\n{end.Report}";
    }

    private async Task Rename(DomainRecord record)
    {
        string name = registry.FreeName(record.Name);
        await registry.Ask(record, ControlOperation.Rename, name);
        record.Spec = record.Spec with { RenamedTo = name };
    }

    private async Task<DomainEnd> Restart(DomainRecord record, DomainEnd end)
    {
        bool quick = end.Reason is not (EndReason.Reboot or EndReason.Poweroff)
            && end.At - record.Spec.Started < QuickCrash;
        int quickRestarts = quick ? record.Spec.QuickRestarts + 1 : 0;
        if (quickRestarts > MaxQuickRestarts)
        {
            string refusal =
                $"crashed within {QuickCrash.TotalSeconds} s of its start {quickRestarts} times in a row;"
                + " not restarted again";
            registry.Messages.Add($"d{end.Id} {end.Name}: {refusal}");
            return end with { RestartFailure = refusal };
        }
        try
        {
            DomainRecord successor = await registry.Create(record.Spec.Config, paused: false, quickRestarts);
            return end with { Successor = successor.Id };
        }
        catch (ProblemException e)
        {
            registry.Messages.Add($"d{end.Id} {end.Name}: not restarted: {e.Message}");
            return end with { RestartFailure = e.Message };
        }
    }
}
