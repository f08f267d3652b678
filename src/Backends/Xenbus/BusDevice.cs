using System;
using System.Globalization;
using System.Threading.Tasks;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Xenbus;

/// <summary>
/// The life cycle of one device's back end (xen/include/public/io/xenbus.h): it follows the state that the
/// front end shows. All on the bus's thread.
/// </summary>
internal sealed class BusDevice(DeviceBackend backend, DeviceNodes nodes, Action<string> log)
{
    /// <summary>Failures of one device that are logged; a guest could fail for ever.</summary>
    private const int MaxLoggedFailures = 8;

    private bool _connected;
    private volatile int _connection;
    private int _failures;

    public DeviceBackend Backend { get; } = backend;

    public DeviceNodes Nodes { get; } = nodes;

    /// <summary>Number of the present connection, or of the next one; any thread.</summary>
    public int Connection => _connection;

    /// <summary>What the back end shows.</summary>
    public int State { get; private set; } = XenbusState.Initialising;

    /// <summary>Set when a toolstack wants the device gone: done when the guest has let go.</summary>
    public TaskCompletionSource? Removal { get; private set; }

    /// <summary>The guest has let go (or never had it) and it is to go.</summary>
    public bool IsDone => Removal != null && State == XenbusState.Closed;

    /// <summary>Puts the features on offer.</summary>
    public void Announce()
    {
        Nodes.ClearError();
        Backend.Announce(Nodes);
        Enter(XenbusState.InitWait);
    }

    /// <summary>Looks at the front end's state and does what follows from it.</summary>
    public void Follow()
    {
        int frontend = Nodes.FrontendState;
        switch (frontend)
        {
            case XenbusState.Initialising when Removal != null:
                Close();
                break;
            case XenbusState.Initialising when State != XenbusState.InitWait:
                // After closing, or a kernel that started anew under us (kexec): from the beginning.
                Disconnect();
                Announce();
                break;
            case XenbusState.Initialised or XenbusState.Connected when State == XenbusState.InitWait:
                Connect();
                break;
            case XenbusState.Closing when State is not (XenbusState.Closing or XenbusState.Closed):
                // Its driver waits for us to say the same; it still waits for answers to its requests.
                Enter(XenbusState.Closing);
                break;
            case XenbusState.Closed or XenbusState.Unknown when State != XenbusState.Closed:
                Close();
                break;
        }
    }

    private void Connect()
    {
        try
        {
            Backend.Connect(Nodes);
            _connected = true;
            Enter(XenbusState.Connected);
        }
        catch (FrontendException e)
        {
            Fail(e.Message);
        }
    }

    /// <summary>The front end broke the protocol: its rings are let go, and the device closes.</summary>
    public void Fail(string reason)
    {
        if (++_failures <= MaxLoggedFailures)
        {
            string last = _failures == MaxLoggedFailures ? " (further failures are not logged)" : "";
            string id = Backend.Id.ToString(CultureInfo.InvariantCulture);
            log($"{Backend.Type} {id}: disconnected: {reason}{last}");
        }
        Disconnect();
        Nodes.WriteError(reason);
        Enter(XenbusState.Closing);
    }

    /// <summary>
    /// Asks the guest to let go. A guest that never took the device need not be asked.
    /// </summary>
    public TaskCompletionSource RequestRemoval(bool force)
    {
        Removal ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Nodes.WriteBackend("online", "0");
        bool untouched = Nodes.FrontendState
            is XenbusState.Unknown or XenbusState.Initialising or XenbusState.Closed;
        if (force || (untouched && !_connected))
        {
            Close();
        }
        else if (State is not (XenbusState.Closing or XenbusState.Closed))
        {
            Enter(XenbusState.Closing);
        }
        return Removal;
    }

    private void Close()
    {
        Disconnect();
        Enter(XenbusState.Closed);
    }

    private void Disconnect()
    {
        // Also after a Connect that failed in the middle.
        Backend.Disconnect();
        _connected = false;
        _connection++;
    }

    private void Enter(int state)
    {
        State = state;
        Nodes.WriteBackend("state", state.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Makes the front end read again what it reads at a change of state (resize).</summary>
    public void TellAgain() => Enter(State);

    /// <summary>Lets go of the guest and of the host.</summary>
    public void Dispose()
    {
        Backend.Disconnect();
        Backend.Dispose();
        Nodes.ClearError();
        Removal?.TrySetResult();
    }
}
