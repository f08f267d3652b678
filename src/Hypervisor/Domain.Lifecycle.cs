using System;
using System.Collections.Generic;
using System.Threading;

namespace Ryokan.Hypervisor;

public sealed partial class Domain
{
    public Domain(DomainOptions options)
    {
        Options = options;
        Frames = options.Frames;
        InitialPages = options.InitialPages == 0 ? options.Frames.RamFrames : options.InitialPages;
        SharedInfoMfn = Frames.AllocateSpecial() ?? throw new InvalidOperationException("no special frame left");
    }

    /// <summary>
    /// The entry state of vCPU 0 (the rest is fixed by the ABI): pins the L4 table the builder made.
    /// </summary>
    /// <param name="rip">kernel entry address</param>
    /// <param name="rsp">end of the boot stack</param>
    /// <param name="startInfo">virtual address of start_info (rsi)</param>
    /// <param name="rootMfn">mfn of the L4 table</param>
    /// <exception cref="InvalidOperationException">the tables are not well formed (builder error)</exception>
    public void SetInitialState(ulong rip, ulong rsp, ulong startInfo, ulong rootMfn) => throw new NotImplementedException();

    /// <summary>
    /// Opens the next event port of the guest as interdomain with domain 0: the first call gives port 1
    /// (xenstore), the second port 2 (console). The callback runs when the guest sends; on the vCPU's
    /// thread, so it must only wake a worker.
    /// </summary>
    public uint AllocateBackendPort(Action onGuestNotify) => throw new NotImplementedException();

    /// <summary>Raises an event port of the guest from a back end. Any thread.</summary>
    public void NotifyGuest(uint port) => throw new NotImplementedException();

    public DomainState State => throw new NotImplementedException();

    /// <summary>Starts the vCPU threads; paused when <paramref name="paused"/>.</summary>
    public void Start(bool paused = false) => throw new NotImplementedException();

    /// <summary>Stops all vCPUs at instruction boundaries; complete on return. Not from a vCPU thread.</summary>
    public void Pause() => throw new NotImplementedException();

    public void Unpause() => throw new NotImplementedException();

    /// <summary>Stops the domain for good, reason <see cref="ShutdownReason.Destroyed"/> unless it had stopped already.</summary>
    public void Destroy() => throw new NotImplementedException();

    /// <summary>Sends an NMI to a vCPU (xl trigger nmi).</summary>
    public void SendNmi(int vcpu) => throw new NotImplementedException();

    /// <summary>Raised once, on the thread that caused it, after the last vCPU was told to stop.</summary>
    public event Action<ShutdownReason>? ShutDown;

    /// <summary>Waits until the domain has stopped; null when the time ran out.</summary>
    public ShutdownReason? WaitForShutdown(TimeSpan timeout) { ShutDown?.Invoke(0); throw new NotImplementedException(); }

    /// <summary>Set when the reason is Crash (by the guest's own panic or by the monitor).</summary>
    public CrashReport? Crash => throw new NotImplementedException();

    public IReadOnlyList<VcpuStatus> VcpuStatus => throw new NotImplementedException();

    /// <summary>Host CPU time of all vCPU threads.</summary>
    public TimeSpan CpuTime => throw new NotImplementedException();

    /// <summary>Frames populated now (memory column of xm list).</summary>
    public ulong CurrentPages => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}
