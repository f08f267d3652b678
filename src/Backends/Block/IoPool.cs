using System;
using System.Collections.Generic;
using System.Threading;

namespace Ryokan.Backends.Block;

/// <summary>
/// Threads that carry out what would hold up a ring: so many requests are under way at the host at once. They
/// are made when needed, up to a limit, and live as long as the pool.
/// </summary>
/// <param name="name">of the threads, 15 characters at most</param>
/// <param name="execute">carries one out; must not throw</param>
internal sealed class IoPool(string name, Action<IoGroup> execute) : IDisposable
{
    /// <summary>Requests of one ring under way at the host.</summary>
    private const int MaxThreads = 16;

    private readonly object _lock = new();
    private readonly Queue<IoGroup> _waiting = new();
    private readonly List<Thread> _threads = [];
    private int _idle, _busy;
    private bool _stop;

    public void Add(IoGroup group)
    {
        lock (_lock)
        {
            _waiting.Enqueue(group);
            if (_idle >= _waiting.Count)
            {
                Monitor.Pulse(_lock);
            }
            else if (_threads.Count < MaxThreads)
            {
                Thread thread = new(Run) { IsBackground = true, Name = name };
                _threads.Add(thread);
                thread.Start();
            }
        }
    }

    /// <summary>Waits until nothing is under way.</summary>
    public void Drain()
    {
        lock (_lock)
        {
            while (_waiting.Count > 0 || _busy > 0)
            {
                Monitor.Wait(_lock);
            }
        }
    }

    private void Run()
    {
        lock (_lock)
        {
            while (true)
            {
                if (_waiting.TryDequeue(out IoGroup? group))
                {
                    _busy++;
                    Monitor.Exit(_lock);
                    execute(group);
                    Monitor.Enter(_lock);
                    _busy--;
                    if (_busy == 0 && _waiting.Count == 0)
                    {
                        Monitor.PulseAll(_lock);
                    }
                }
                else if (_stop)
                {
                    return;
                }
                else
                {
                    _idle++;
                    Monitor.Wait(_lock);
                    _idle--;
                }
            }
        }
    }

    /// <summary>Finishes what was added, then ends the threads.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _stop = true;
            Monitor.PulseAll(_lock);
        }
        _threads.ForEach(t => t.Join());
    }
}
