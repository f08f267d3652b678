namespace Ryokan.Hypervisor.Events;

/// <summary>Told when a vCPU has a reason to look at its events.</summary>
public interface IUpcallSink
{
    /// <summary>
    /// The vCPU's evtchn_upcall_pending just became 1, or a port that it polls became pending: wake it
    /// when it waits, kick it when it runs. Any thread, also the vCPU's own; must not block and must not
    /// call back into the event channels.
    /// </summary>
    void Raise(int vcpu);
}
