using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Ryokan.Hypervisor.Diagnostics;
using Ryokan.Hypervisor.Vcpus;

namespace Ryokan.Hypervisor;

/// <summary>Start, pause, stop, crash; what lists show.</summary>
public sealed partial class Domain
{
    private readonly Lock _gate = new();
    private readonly ManualResetEventSlim _stopped = new();
    private ShutdownReason? _reason;
    private bool _started;
    private bool _paused;
    private bool _disposed;

    /// <summary>Raised once, on the thread that caused it, after all vCPUs were told to stop.</summary>
    public event Action<ShutdownReason>? ShutDown;

    public DomainState State
    {
        get
        {
            lock (_gate)
            {
                return _reason != null ? DomainState.ShutDown
                    : !_started ? DomainState.Building
                    : _paused ? DomainState.Paused : DomainState.Running;
            }
        }
    }

    /// <summary>Set when the reason is Crash (by the guest's own panic or by the monitor).</summary>
    public CrashReport? Crash { get; private set; }

    public IReadOnlyList<VcpuStatus> VcpuStatus =>
        _vcpus.Select(v => new VcpuStatus(v.Id, v.Activity, v.CpuTime, v.HostThreadId)).ToArray();

    /// <summary>Host CPU time of all vCPU threads.</summary>
    public TimeSpan CpuTime => _vcpus.Aggregate(TimeSpan.Zero, static (sum, v) => sum + v.CpuTime);

    /// <summary>Starts the vCPU threads; paused when <paramref name="paused"/>.</summary>
    public void Start(bool paused = false)
    {
        lock (_gate)
        {
            if (_started || _reason != null)
            {
                throw new InvalidOperationException("the domain was started already");
            }
            if (!_vcpus[0].IsInitialised)
            {
                throw new InvalidOperationException("the domain has no initial state");
            }
            _started = true;
            _paused = paused;
            _vcpus[0].BringUp();
            foreach (Vcpu v in _vcpus)
            {
                if (paused)
                {
                    v.Post(VcpuRequest.Pause);
                }
                v.Start();
            }
        }
    }

    /// <summary>Stops all vCPUs at instruction boundaries; complete on return. Not from a vCPU thread.</summary>
    public void Pause()
    {
        lock (_gate)
        {
            if (_reason != null || !_started)
            {
                return;
            }
            _paused = true;
            foreach (Vcpu v in _vcpus)
            {
                v.Post(VcpuRequest.Pause);
            }
        }
        while (!_stopped.IsSet && !_vcpus.All(static v => v.IsQuiet))
        {
            Thread.Sleep(1);
        }
    }

    /// <summary>What each vCPU does, in several lines for a person. Pauses the domain for that long.</summary>
    public string Describe()
    {
        bool wasPaused = State == DomainState.Paused;
        Pause();
        string text = CrashReporter.Describe(_vcpus);
        if (!wasPaused)
        {
            Unpause();
        }
        return text;
    }

    public void Unpause()
    {
        lock (_gate)
        {
            _paused = false;
            foreach (Vcpu v in _vcpus)
            {
                v.Withdraw(VcpuRequest.Pause);
            }
        }
    }

    /// <summary>Stops the domain for good, reason <see cref="ShutdownReason.Destroyed"/> unless it had stopped already.</summary>
    public void Destroy() => ShutDownNow(ShutdownReason.Destroyed);

    /// <summary>Sends an NMI to a vCPU (xl trigger nmi).</summary>
    public void SendNmi(int vcpu) => _vcpus[vcpu].Post(VcpuRequest.Nmi);

    /// <summary>Waits until the domain has stopped; null when the time ran out.</summary>
    public ShutdownReason? WaitForShutdown(TimeSpan timeout) => _stopped.Wait(timeout) ? _reason : null;

    /// <summary>SCHEDOP_shutdown. A crash of the guest's own making gets a report too.</summary>
    internal void ShutDownFrom(Vcpu vcpu, ShutdownReason reason)
    {
        if (reason == ShutdownReason.Crash)
        {
            CrashFrom(vcpu, "the guest reported a crash", null);
        }
        else
        {
            ShutDownNow(reason);
        }
    }

    /// <summary>Ends the domain with a report; on the vCPU's own thread.</summary>
    internal void CrashFrom(Vcpu vcpu, string reason, string? monitorStack)
    {
        CrashReport report = CrashReporter.Make(vcpu, _vcpus, reason, monitorStack);
        lock (_gate)
        {
            if (_reason == null)
            {
                Crash = report;
            }
        }
        ShutDownNow(ShutdownReason.Crash);
    }

    /// <summary>VCPUOP_down; when it was the last that was up the domain has powered off.</summary>
    internal void TakeVcpuDown(Vcpu from, Vcpu target)
    {
        if (_vcpus.All(v => v == target || !v.IsUp))
        {
            ShutDownFrom(from, ShutdownReason.Poweroff);
            return;
        }
        target.TakeDown();
    }

    /// <summary>The first reason counts.</summary>
    private void ShutDownNow(ShutdownReason reason)
    {
        lock (_gate)
        {
            if (_reason != null)
            {
                return;
            }
            _reason = reason;
        }
        foreach (Vcpu v in _vcpus)
        {
            v.Post(VcpuRequest.Stop);
        }
        ShutDown?.Invoke(reason);
        _stopped.Set();
    }

    /// <summary>Ends whatever still runs and gives everything back, the frames as well. Not from a vCPU thread.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }
        _disposed = true;
        Destroy();
        foreach (Vcpu v in _vcpus)
        {
            v.Join();
        }
        Watchdogs.Dispose();
        Time.Dispose();
        Engine.Dispose();
        foreach (Vcpu v in _vcpus)
        {
            v.Dispose();
        }
        MachineToPhysical.Dispose();
        Frames.Dispose();
        _stopped.Dispose();
    }
}
