using System;
using System.Collections.Generic;

namespace Ryokan.Backends.Xenbus;

/// <summary>
/// The back end of one device: what a kind of device adds to the life cycle that <see cref="DeviceBus"/> runs.
/// All members but the constructor are called on the bus's thread, one at a time.
/// </summary>
public abstract class DeviceBackend : IDisposable
{
    private Action<DeviceBackend, string>? _fail;

    /// <summary>"vbd", "vif", ...: the name in device/TYPE/ID.</summary>
    public abstract string Type { get; }

    /// <summary>Device id, 0 .. 2^31 - 1: the number in device/TYPE/ID.</summary>
    public abstract int Id { get; }

    /// <summary>
    /// Nodes that a toolstack puts into the front end's directory, beside backend, backend-id and state.
    /// </summary>
    public abstract IEnumerable<KeyValuePair<string, string>> FrontendNodes { get; }

    /// <summary>
    /// Nodes that a toolstack puts into the back end's directory, beside frontend, frontend-id, online, state.
    /// </summary>
    public abstract IEnumerable<KeyValuePair<string, string>> BackendNodes { get; }

    /// <summary>
    /// Writes the features on offer; state becomes InitWait after that. Comes again before every connection.
    /// </summary>
    public abstract void Announce(DeviceNodes nodes);

    /// <summary>
    /// The front end has published its rings (state Initialised or Connected): maps them, binds the event
    /// channels, writes what the front end reads when it sees Connected, starts the workers. State becomes
    /// Connected after that.
    /// </summary>
    /// <exception cref="FrontendException">it published nonsense; <see cref="Disconnect"/> follows</exception>
    public abstract void Connect(DeviceNodes nodes);

    /// <summary>
    /// Stops the workers and lets go of every frame and port of the guest's; whatever of it there is, also
    /// after a <see cref="Connect"/> that failed in the middle. On return nothing touches the guest any more.
    /// </summary>
    public abstract void Disconnect();

    /// <summary>Gives back what belongs to the host (files, taps). Comes once, after Disconnect.</summary>
    public virtual void Dispose() => GC.SuppressFinalize(this);

    /// <summary>
    /// A worker found the front end breaking the protocol: the bus disconnects the device and says why. Any
    /// thread; returns at once. The worker must not touch its ring any more.
    /// </summary>
    protected void Fail(string reason) => _fail?.Invoke(this, reason);

    internal void Attach(Action<DeviceBackend, string> fail) => _fail = fail;
}
