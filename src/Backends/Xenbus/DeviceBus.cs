using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.XenStore;

namespace Ryokan.Backends.Xenbus;

/// <summary>
/// The back ends of one domain. A single thread follows the states of all front ends and does what the
/// toolstack asks, so that a device sees one thing at a time. What the guest can queue is bounded: a device
/// that changed is looked at once, however often it changed.
/// </summary>
public sealed class DeviceBus : IWatchSink, IDisposable
{
    private readonly StoreConnection _domain0;
    private readonly DomainTree _tree;
    private readonly Action<string> _log;
    private readonly AutoResetEvent _work = new(false);
    private readonly Queue<Action> _commands = new();
    private readonly Lock _changedLock = new();
    private readonly HashSet<string> _changed = [];
    private readonly Dictionary<string, BusDevice> _devices = [];
    private readonly Thread _thread;

    /// <summary>Guarded by the commands' lock: none is taken any more.</summary>
    private bool _closed;

    /// <param name="store">the domain's store</param>
    /// <param name="tree">its nodes</param>
    /// <param name="log">gets one line for each front end that is disconnected for breaking the protocol;
    /// on the bus's thread</param>
    public DeviceBus(Store store, DomainTree tree, Action<string> log)
    {
        _domain0 = store.Connect(0, this);
        _tree = tree;
        _log = log;
        _thread = new Thread(Run) { IsBackground = true, Name = "xenbus" };
        _thread.Start();
    }

    /// <summary>
    /// Makes a device's nodes and offers it to the guest, at start or while it runs (hot plug); on return the
    /// device belongs to the bus. False when there is one of that type and id: it stays the caller's.
    /// </summary>
    public bool Add(DeviceBackend backend) => Ask(() =>
    {
        string key = Key(backend.Type, backend.Id);
        if (_devices.ContainsKey(key))
        {
            return false;
        }
        _tree.AddDevice(backend.Type, backend.Id, backend.FrontendNodes, backend.BackendNodes);
        DeviceNodes nodes = new(_domain0, _tree.FrontendPath(backend.Type, backend.Id),
            _tree.BackendPath(backend.Type, backend.Id));
        BusDevice device = new(backend, nodes, _log);
        _devices.Add(key, device);
        backend.Attach((_, reason) => PostFailure(device, reason));
        device.Announce();
        _domain0.AddWatch(nodes.FrontendPath + "/state", key);
        return true;
    });

    /// <summary>
    /// Asks the guest to let go of a device and removes it when the guest has. With
    /// <paramref name="force"/> it is taken away without waiting.
    /// </summary>
    public async Task<RemovalOutcome> Remove(string type, int id, bool force, TimeSpan patience)
    {
        TaskCompletionSource? removal = Ask(() =>
        {
            TaskCompletionSource? done = null;
            if (_devices.TryGetValue(Key(type, id), out BusDevice? device))
            {
                done = device.RequestRemoval(force);
                Settle(device);
            }
            return done;
        });
        if (removal == null)
        {
            return RemovalOutcome.NoSuchDevice;
        }
        Task first = await Task.WhenAny(removal.Task, Task.Delay(patience)).ConfigureAwait(false);
        return first == removal.Task ? RemovalOutcome.Removed : RemovalOutcome.GuestKeepsIt;
    }

    /// <summary>Runs something on the bus's thread, where no device changes state meanwhile.</summary>
    /// <typeparam name="T">what it gives back</typeparam>
    /// <exception cref="ObjectDisposedException">the bus has ended</exception>
    public T Ask<T>(Func<T> work)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() =>
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task.GetAwaiter().GetResult();
    }

    /// <summary>All devices of a type, by id.</summary>
    public IReadOnlyList<DeviceStatus> List(string type) => Ask<IReadOnlyList<DeviceStatus>>(() =>
        [.. _devices.Values.Where(d => d.Backend.Type == type).OrderBy(d => d.Backend.Id)
            .Select(d => new DeviceStatus(d.Backend, d.State, d.Nodes.FrontendState, d.Nodes))]);

    /// <summary>
    /// Changes a device's nodes and makes the front end look at them (resize, media change): the back end
    /// writes its state again. False when there is no such device.
    /// </summary>
    public bool Update(string type, int id, Action<DeviceNodes> change) => Ask(() =>
    {
        if (!_devices.TryGetValue(Key(type, id), out BusDevice? device))
        {
            return false;
        }
        change(device.Nodes);
        device.TellAgain();
        return true;
    });

    /// <inheritdoc/>
    void IWatchSink.Fired(string path, string token)
    {
        lock (_changedLock)
        {
            _changed.Add(token);
        }
        _work.Set();
    }

    private void Post(Action command)
    {
        lock (_commands)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            _commands.Enqueue(command);
            _work.Set();
        }
    }

    private bool TryTakeCommand(out Action? command)
    {
        lock (_commands)
        {
            return _commands.TryDequeue(out command);
        }
    }

    private void Run()
    {
        while (true)
        {
            while (TryTakeCommand(out Action? command))
            {
                command!();
            }
            if (_closed)
            {
                return;
            }
            foreach (string key in TakeChanged())
            {
                if (_devices.TryGetValue(key, out BusDevice? device))
                {
                    device.Follow();
                    Settle(device);
                }
            }
            _work.WaitOne();
        }
    }

    private string[] TakeChanged()
    {
        lock (_changedLock)
        {
            string[] changed = [.. _changed];
            _changed.Clear();
            return changed;
        }
    }

    private void PostFailure(BusDevice device, string reason)
    {
        try
        {
            // On a worker's thread, which Disconnect waits for: the number is that of its own connection.
            int connection = device.Connection;
            Post(() => FailIfConnected(device, connection, reason));
        }
        catch (ObjectDisposedException)
        {
            // The bus is letting go of all devices anyway.
        }
    }

    /// <summary>A connection that ended while its failure was on the way here has nothing to fail.</summary>
    private void FailIfConnected(BusDevice device, int connection, string reason)
    {
        if (_devices.ContainsValue(device) && device.Connection == connection)
        {
            device.Fail(reason);
        }
    }

    /// <summary>Removes a device that is wanted gone and that the guest has let go of.</summary>
    private void Settle(BusDevice device)
    {
        if (!device.IsDone)
        {
            return;
        }
        string key = Key(device.Backend.Type, device.Backend.Id);
        _domain0.RemoveWatch(device.Nodes.FrontendPath + "/state", key);
        _devices.Remove(key);
        _tree.RemoveDevice(device.Backend.Type, device.Backend.Id);
        device.Dispose();
    }

    private static string Key(string type, int id) => string.Create(CultureInfo.InvariantCulture, $"{type}/{id}");

    /// <summary>
    /// Lets go of all devices, the host's side too; nothing touches the guest any more. The nodes stay.
    /// </summary>
    public void Dispose()
    {
        lock (_commands)
        {
            if (_closed)
            {
                return;
            }
            Post(LetGo);
            _closed = true;
        }
        _thread.Join();
        _domain0.Dispose();
        _work.Dispose();
    }

    private void LetGo()
    {
        foreach (BusDevice device in _devices.Values)
        {
            device.Dispose();
        }
        _devices.Clear();
    }
}
