using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Api.Control;
using Ryokan.Api.Guests;
using Ryokan.Api.Wire;
using Ryokan.DomainHost.Scheduling;
using Ryokan.Hypervisor;
using Ryokan.Linux.Interop;

namespace Ryokan.DomainHost.Hosted;

/// <summary>
/// Changes memory, vCPUs, placement and shares of a running domain. What the guest has to do itself
/// (ballooning, taking vCPUs on- or offline) is asked for through its store.
/// </summary>
internal sealed class SettingsControl
{
    private const long KiBPerPage = 4, KiBPerMiB = 1024;

    private readonly object _lock = new();
    private readonly RunningGuest _guest;
    private readonly GuestConfig _config;
    private readonly CreditScheduler _scheduler;
    private long _targetKiB;

    /// <param name="guest">the running guest</param>
    /// <param name="config">its description</param>
    /// <param name="cgroupRecord">file that is to hold the directory of a cgroup made for it</param>
    public SettingsControl(RunningGuest guest, GuestConfig config, string? cgroupRecord)
    {
        (_guest, _config) = (guest, config);
        _scheduler = new CreditScheduler(guest.Domain, cgroupRecord);
        _targetKiB = config.MemoryMiB * KiBPerMiB;
    }

    public Api.Wire.Scheduling Scheduling => _scheduler.Parameters;

    /// <summary>KiB that the guest can have at most.</summary>
    public long MaximumKiB => (long)_guest.Domain.MaximumPages * KiBPerPage;

    public ControlReply Set(DomainSettings settings)
    {
        lock (_lock)
        {
            try
            {
                SetMaximum(settings.MemoryMaximumKiB);
                SetTarget(settings.MemoryTargetKiB);
                SetOnline(settings.OnlineVcpus);
                SetAffinity(settings.Affinity);
                return new ControlReply(Note: SetScheduling(settings.Weight, settings.CapPercent));
            }
            catch (OperatorException e)
            {
                return ControlServer.Refuse(409, ProblemCodes.NotPermitted, e.Message);
            }
        }
    }

    /// <summary>Puts in force what the description says about placement and shares, before the guest runs.</summary>
    /// <param name="log">gets what is done differently than asked</param>
    /// <exception cref="OperatorException">the host does not permit it</exception>
    public void Begin(Action<string> log)
    {
        foreach (VcpuAffinity affinity in _config.Affinities)
        {
            SetAffinity(affinity);
        }
        if (_config.Scheduling is { } wanted && SetScheduling(wanted.Weight, wanted.CapPercent) is { } note)
        {
            log(note);
        }
    }

    private void SetMaximum(long? kib)
    {
        if (kib is not { } wanted)
        {
            return;
        }
        long limit = _config.MaxMemoryMiB * KiBPerMiB;
        if (wanted > limit)
        {
            throw new OperatorException(
                $"{Size(wanted)} is more than the domain was made with (maxmem, {Size(limit)});"
                + " that takes a new description and a new start");
        }
        if (wanted < _targetKiB)
        {
            throw new OperatorException(
                $"{Size(wanted)} is less than the memory target ({Size(_targetKiB)});"
                + " lower that first (mem-set)");
        }
        _guest.Domain.MaximumPages = (ulong)(wanted / KiBPerPage);
        _guest.Control.SetMemoryMaximum((ulong)wanted);
    }

    private void SetTarget(long? kib)
    {
        if (kib is not { } wanted)
        {
            return;
        }
        if (wanted > MaximumKiB)
        {
            throw new OperatorException(
                $"{Size(wanted)} is more than the domain's maximum ({Size(MaximumKiB)})");
        }
        if (wanted < KiBPerMiB)
        {
            throw new OperatorException($"{Size(wanted)} is less than a guest can run with");
        }
        _targetKiB = wanted;
        _guest.Control.SetMemoryTarget((ulong)wanted);
    }

    private static string Size(long kib) => kib % KiBPerMiB == 0 ? $"{kib / KiBPerMiB} MiB" : $"{kib} KiB";

    private void SetOnline(int? count)
    {
        if (count is not { } wanted)
        {
            return;
        }
        int exist = _guest.Domain.VcpuCount;
        if (wanted < 1 || wanted > exist)
        {
            throw new OperatorException($"{wanted} vCPUs: the domain has 1 to {exist} (maxvcpus)");
        }
        for (int id = 0; id < exist; id++)
        {
            _guest.Control.SetVcpuAvailability(id, id < wanted);
        }
    }

    private void SetAffinity(VcpuAffinity? affinity)
    {
        if (affinity == null)
        {
            return;
        }
        IReadOnlyList<VcpuStatus> vcpus = _guest.Domain.VcpuStatus;
        if (affinity.Vcpu is { } id && (uint)id >= (uint)vcpus.Count)
        {
            throw new OperatorException($"vCPU {id}: the domain has 0 to {vcpus.Count - 1}");
        }
        foreach (VcpuStatus vcpu in vcpus.Where(v => affinity.Vcpu == null || v.Id == affinity.Vcpu))
        {
            if (HostThread.SetAffinity(vcpu.HostThread, affinity.Cpus) is { } error)
            {
                string cpus = affinity.Cpus == null ? "all" : string.Join(',', affinity.Cpus);
                throw new OperatorException(
                    $"vCPU {vcpu.Id} cannot be placed on CPU {cpus}: {error} (offline, or not this user's?)");
            }
        }
    }

    private string? SetScheduling(int? weight, int? capPercent)
    {
        if (weight == null && capPercent == null)
        {
            return null;
        }
        Api.Wire.Scheduling now = _scheduler.Parameters;
        Api.Wire.Scheduling wanted = new(weight ?? now.Weight, capPercent ?? now.CapPercent);
        int maxCap = _guest.Domain.VcpuCount * 100;
        if (wanted.Weight is < 1 or > Api.Wire.Scheduling.MaxWeight)
        {
            throw new OperatorException($"weight {wanted.Weight}: 1 to {Api.Wire.Scheduling.MaxWeight}");
        }
        if (wanted.CapPercent < 0 || wanted.CapPercent > maxCap)
        {
            throw new OperatorException(
                $"cap {wanted.CapPercent}: 0 (none) to {maxCap} (100 for each of the domain's vCPUs)");
        }
        _scheduler.Set(wanted, out string? note);
        return note;
    }
}
