using Ryokan.Api.Guests.Network;

namespace Ryokan.Api.Control;

/// <summary>What a domain process is asked about its network interfaces.</summary>
public enum NetworkOperation
{
    List, Attach, Detach,
}

/// <param name="Operation">what is asked</param>
/// <param name="Vif">of attach</param>
/// <param name="Device">of detach: device id or MAC address</param>
/// <param name="Force">of detach: do not wait for the guest</param>
public sealed record NetworkRequest(
    NetworkOperation Operation, VifConfig? Vif = null, string? Device = null, bool Force = false);
