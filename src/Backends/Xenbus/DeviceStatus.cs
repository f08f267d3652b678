namespace Ryokan.Backends.Xenbus;

/// <summary>A device as lists show it.</summary>
/// <param name="Backend">the device itself</param>
/// <param name="State">state of the back end (XenbusState)</param>
/// <param name="FrontendState">what the guest says</param>
/// <param name="Nodes">where its nodes are</param>
public sealed record DeviceStatus(DeviceBackend Backend, int State, int FrontendState, DeviceNodes Nodes);

/// <summary>How the removal of a device went.</summary>
public enum RemovalOutcome
{
    /// <summary>It is gone.</summary>
    Removed,

    /// <summary>There is no such device.</summary>
    NoSuchDevice,

    /// <summary>The guest has not let go of it in time; it may still do so, and then it goes.</summary>
    GuestKeepsIt,
}
