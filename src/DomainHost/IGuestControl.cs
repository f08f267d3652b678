namespace Ryokan.DomainHost;

/// <summary>What a guest can be asked to do by itself, by way of its store.</summary>
internal interface IGuestControl
{
    /// <summary>
    /// Asks for a shutdown: "poweroff", "reboot", "halt". False when the guest has not said that it listens.
    /// </summary>
    bool RequestShutdown(string reason);

    /// <summary>Sends a magic SysRq letter. False when the guest does not listen.</summary>
    bool RequestSysrq(char key);

    /// <summary>
    /// Asks for ballooning to that size; a guest that does not listen yet sees it when it does.
    /// </summary>
    void SetMemoryTarget(ulong kib);

    /// <summary>Tells how much memory it can have at most.</summary>
    void SetMemoryMaximum(ulong kib);

    /// <summary>Asks for a vCPU to be taken on- or offline; seen as the memory target is.</summary>
    void SetVcpuAvailability(int vcpu, bool online);
}
