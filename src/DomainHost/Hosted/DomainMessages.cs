using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.Api.Control;

namespace Ryokan.DomainHost.Hosted;

/// <summary>
/// Lines of this domain for the host's message log, kept until the daemon has them safe. A daemon that is away
/// gets them when it is back; when they become too many the oldest go.
/// </summary>
internal sealed class DomainMessages
{
    private const int MaxKept = 256;

    private readonly object _lock = new();
    private readonly Queue<DomainMessage> _kept = new();
    private long _last;
    private bool _ended;

    public void Add(string text)
    {
        lock (_lock)
        {
            _kept.Enqueue(new DomainMessage(++_last, text));
            if (_kept.Count > MaxKept)
            {
                _kept.Dequeue();
            }
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Forgets those up to a number and waits for others; none: the domain ends.</summary>
    public IReadOnlyList<DomainMessage> Take(long safe)
    {
        lock (_lock)
        {
            while (_kept.TryPeek(out DomainMessage? first) && first.Number <= safe)
            {
                _kept.Dequeue();
            }
            while (_kept.Count == 0 && !_ended)
            {
                Monitor.Wait(_lock);
            }
            return [.. _kept];
        }
    }

    /// <summary>Waits a little for the daemon to take what is left, then ends every wait.</summary>
    public void End(TimeSpan patience)
    {
        long deadline = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        lock (_lock)
        {
            while (_kept.Count > 0 && deadline - Environment.TickCount64 is var left and > 0)
            {
                Monitor.Wait(_lock, (int)left);
            }
            _ended = true;
            Monitor.PulseAll(_lock);
        }
    }
}
