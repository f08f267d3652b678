using System;
using Microsoft.Win32.SafeHandles;
using Ryokan.Linux.Interop;

namespace Ryokan.Backends.Network.Ports;

/// <summary>
/// Tells whether the other end of a stream still reads: between two sends what it has not read yet can only become less, and when it stays as
/// it is for long, the other end is stuck.
/// </summary>
internal sealed class ReaderWatch
{
    public const long LimitNanoseconds = 5_000_000_000;

    private int _unread;

    /// <summary>Since when something is unread and nothing of it has been read; <see cref="long.MaxValue"/>: there is nothing.</summary>
    private long _since = long.MaxValue;

    /// <summary>When to look again (CLOCK_MONOTONIC, ns).</summary>
    public long Deadline => _since == long.MaxValue ? long.MaxValue : _since + LimitNanoseconds;

    /// <summary>In front of each send, and at the deadline. True: it has read nothing for <see cref="LimitNanoseconds"/>.</summary>
    public bool IsStuck(SafeFileHandle socket)
    {
        if (_since == long.MaxValue)
        {
            return false;
        }
        int before = _unread;
        _unread = SocketPair.Unread(socket);
        long now = Futex.MonotonicNanoseconds();
        if (_unread < before)
        {
            _since = _unread > 0 ? now : long.MaxValue;
        }
        return _since != long.MaxValue && now - _since >= LimitNanoseconds;
    }

    /// <summary>Behind a send.</summary>
    public void Sent(SafeFileHandle socket)
    {
        _unread = SocketPair.Unread(socket);
        _since = _unread == 0 ? long.MaxValue : Math.Min(_since, Futex.MonotonicNanoseconds());
    }

    public void Reset() => _since = long.MaxValue;
}
