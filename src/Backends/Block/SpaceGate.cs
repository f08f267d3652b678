using System;
using System.Threading;

namespace Ryokan.Backends.Block;

/// <summary>
/// Where writes wait that the host had no room for. The first one of a row reports it (the owner pauses the
/// guest); <see cref="Retry"/> lets all of them try again. One for all disks of a domain; any thread.
/// </summary>
/// <param name="report">gets one line; on the thread of the write that failed, once until the next
/// <see cref="Retry"/></param>
public sealed class SpaceGate(Action<string> report)
{
    private readonly object _lock = new();
    private long _round;
    private bool _reported;

    /// <summary>Waits; true: try again, false: the device goes away, give up.</summary>
    /// <param name="message">what failed, and why</param>
    /// <param name="isStopping">looked at whenever <see cref="Wake"/> is called</param>
    public bool Wait(string message, Func<bool> isStopping)
    {
        long round;
        bool first;
        lock (_lock)
        {
            round = _round;
            first = !_reported;
            _reported = true;
        }
        if (first)
        {
            report(message);
        }
        lock (_lock)
        {
            while (_round == round && !isStopping())
            {
                Monitor.Wait(_lock);
            }
            return !isStopping();
        }
    }

    /// <summary>Lets every write that waits try again.</summary>
    public void Retry()
    {
        lock (_lock)
        {
            _round++;
            _reported = false;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Makes those that wait look whether they are to stop.</summary>
    internal void Wake()
    {
        lock (_lock)
        {
            Monitor.PulseAll(_lock);
        }
    }
}
