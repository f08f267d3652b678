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
}
