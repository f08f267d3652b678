using Ryokan.Api.Guests.Disks;
using Ryokan.Api.Wire;

namespace Ryokan.Api.Control;

/// <summary>What a domain process is asked about its disks.</summary>
public enum DiskOperation
{
    List, Attach, Detach, Change,
}

/// <param name="Operation">what is asked</param>
/// <param name="Disk">of attach</param>
/// <param name="Device">of detach and change: name or number of the device</param>
/// <param name="Force">of detach: do not wait for the guest</param>
/// <param name="Change">of change</param>
public sealed record DiskRequest(
    DiskOperation Operation, DiskConfig? Disk = null, string? Device = null, bool Force = false,
    DiskChange? Change = null);
