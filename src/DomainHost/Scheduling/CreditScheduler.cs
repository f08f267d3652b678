using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Ryokan.Hypervisor;
using Ryokan.Linux.Interop;
using CreditParameters = Ryokan.Api.Wire.Scheduling;

namespace Ryokan.DomainHost.Scheduling;

/// <summary>
/// Weight and cap of a domain as Xen's credit scheduler has them, put in force by the host's scheduler: in a
/// cgroup of version 2 where the user may have one; otherwise the weight becomes a nice value of the vCPU
/// threads, and a cap is refused. Not thread-safe.
/// </summary>
internal sealed class CreditScheduler
{
    /// <summary>
    /// A step of nice changes a thread's share by this factor (Linux, sched_prio_to_weight in kernel/sched).
    /// </summary>
    private const double NiceStep = 1.25;
    private const int MinNice = -20, MaxNice = 19;

    private readonly Domain _domain;
    private readonly string? _cgroupRecord;
    private readonly int _baseNice = HostThread.Nice(0);
    private CpuCgroup? _cgroup;

    /// <param name="domain">whose vCPUs</param>
    /// <param name="cgroupRecord">file that is to hold the cgroup's directory, for whoever cleans up; or
    /// null</param>
    public CreditScheduler(Domain domain, string? cgroupRecord) =>
        (_domain, _cgroupRecord) = (domain, cgroupRecord);

    public CreditParameters Parameters { get; private set; } = CreditParameters.Default;

    /// <summary>Puts new parameters in force.</summary>
    /// <param name="wanted">weight and cap</param>
    /// <param name="note">set when the host does something else instead</param>
    /// <exception cref="OperatorException">the host does not permit it; nothing is changed</exception>
    public void Set(CreditParameters wanted, out string? note)
    {
        note = null;
        if (wanted == Parameters)
        {
            return;
        }
        string problem = "";
        _cgroup ??= TryEnter(out problem);
        if (_cgroup != null)
        {
            try
            {
                _cgroup.Set(wanted.Weight, wanted.CapPercent);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new OperatorException($"weight and cap: {e.Message}");
            }
        }
        else
        {
            if (wanted.CapPercent != 0)
            {
                throw new OperatorException(
                    $"cap: not permitted here, it needs a cgroup v2 cpu controller: {problem}");
            }
            int nice = SetNice(wanted.Weight);
            note = $"weight {wanted.Weight} is approximated by nice {nice} of the vCPU threads: {problem}";
        }
        Parameters = wanted;
    }

    private CpuCgroup? TryEnter(out string problem)
    {
        string name = FormattableString.Invariant($"ryokan-{_domain.Id}-{Environment.ProcessId}");
        CpuCgroup? cgroup = CpuCgroup.TryEnter(name, out problem);
        if (cgroup != null && _cgroupRecord != null)
        {
            File.WriteAllText(_cgroupRecord, cgroup.Directory);
        }
        return cgroup;
    }

    private int SetNice(int weight)
    {
        double steps = Math.Log((double)weight / CreditParameters.DefaultWeight) / Math.Log(NiceStep);
        int nice = Math.Clamp(_baseNice - (int)Math.Round(steps), MinNice, MaxNice);
        List<(int Thread, int Nice)> before = [];
        foreach (int thread in _domain.VcpuStatus.Select(v => v.HostThread).Where(t => t != 0))
        {
            before.Add((thread, HostThread.Nice(thread)));
            if (HostThread.SetNice(thread, nice) is { } error)
            {
                before.ForEach(b => HostThread.SetNice(b.Thread, b.Nice));
                throw new OperatorException(
                    $"weight {weight}: nice {nice} for the vCPU threads is not permitted ({error});"
                    + " a higher share needs root, CAP_SYS_NICE or a larger 'ulimit -e'");
            }
        }
        return nice;
    }
}
