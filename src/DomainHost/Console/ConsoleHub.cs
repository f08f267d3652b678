using System;
using System.Collections.Generic;
using Ryokan.Hypervisor;

namespace Ryokan.DomainHost.Console;

/// <summary>Receives a domain's console output.</summary>
internal interface IConsoleListener
{
    /// <summary>
    /// Takes bytes; must neither block nor throw (a slow reader drops or buffers by itself).
    /// </summary>
    void Output(ReadOnlySpan<byte> text);
}

/// <summary>
/// Where a domain's console output meets those who want it: a bounded history for who comes later (and for
/// the crash report), and any number of listeners. Thread-safe.
/// </summary>
internal sealed class ConsoleHub : IConsoleSink
{
    /// <summary>Kept for late listeners; a boot's messages fit several times over.</summary>
    public const int HistoryBytes = 256 << 10;

    private readonly object _lock = new();
    private readonly List<IConsoleListener> _listeners = [];
    private readonly byte[] _history = new byte[HistoryBytes];
    private long _total;

    public void Write(ReadOnlySpan<byte> text)
    {
        lock (_lock)
        {
            Remember(text);
            foreach (IConsoleListener listener in _listeners)
            {
                listener.Output(text);
            }
        }
    }

    private void Remember(ReadOnlySpan<byte> text)
    {
        _total += Math.Max(0, text.Length - HistoryBytes);
        text = text[Math.Max(0, text.Length - HistoryBytes)..];
        int at = (int)(_total % HistoryBytes);
        int first = Math.Min(text.Length, HistoryBytes - at);
        text[..first].CopyTo(_history.AsSpan(at));
        text[first..].CopyTo(_history);
        _total += text.Length;
    }

    /// <summary>
    /// Adds a listener; with <paramref name="withHistory"/> it gets what is kept first, nothing lost or
    /// doubled.
    /// </summary>
    public void Attach(IConsoleListener listener, bool withHistory)
    {
        lock (_lock)
        {
            if (withHistory)
            {
                listener.Output(History());
            }
            _listeners.Add(listener);
        }
    }

    public void Detach(IConsoleListener listener)
    {
        lock (_lock)
        {
            _listeners.Remove(listener);
        }
    }

    /// <summary>The last <paramref name="bytes"/> bytes at most.</summary>
    public byte[] Tail(int bytes)
    {
        lock (_lock)
        {
            byte[] history = History();
            return history[Math.Max(0, history.Length - bytes)..];
        }
    }

    private byte[] History()
    {
        int at = (int)(_total % HistoryBytes);
        return _total <= HistoryBytes ? _history[..(int)_total] : [.. _history[at..], .. _history[..at]];
    }
}
