using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Xen.Abi;

namespace Ryokan.XenStore.Wire;

/// <summary>
/// Messages that wait for a connection to take them. An event that waits already is not queued again, and
/// the number of events is limited: a peer that does not read costs bounded memory. Any thread.
/// </summary>
internal sealed class Outbox(int maxEvents)
{
    public const int HeaderSize = 16;

    private readonly record struct Message(byte[] Bytes, (string Path, string Token)? Event);

    private readonly Lock _lock = new();
    private readonly Queue<Message> _queue = [];
    private readonly HashSet<(string Path, string Token)> _events = [];

    /// <summary>Bytes of the first message that were taken.</summary>
    private int _taken;
    private int _bytes;

    /// <summary>Bytes that wait.</summary>
    public int Length => Volatile.Read(ref _bytes);

    public void Reply(in XsdSockmsg request, uint type, ReadOnlySpan<byte> payload)
    {
        XsdSockmsg header = new() { Type = type, ReqId = request.ReqId, TxId = request.TxId };
        Add(new Message(Frame(header, payload), null));
    }

    /// <summary>False when the event was dropped because too many wait.</summary>
    public bool Event(string path, string token)
    {
        lock (_lock)
        {
            if (_events.Contains((path, token)))
            {
                return true;
            }
            if (_events.Count >= maxEvents)
            {
                return false;
            }
            _events.Add((path, token));
            XsdSockmsg header = new() { Type = XenStoreMessageType.WatchEvent };
            Add(new Message(Frame(header, StoreText.Terminated([path, token])), (path, token)));
            return true;
        }
    }

    private static byte[] Frame(XsdSockmsg header, ReadOnlySpan<byte> payload)
    {
        header.Len = (uint)payload.Length;
        byte[] bytes = new byte[HeaderSize + payload.Length];
        MemoryMarshal.Write(bytes, header);
        payload.CopyTo(bytes.AsSpan(HeaderSize));
        return bytes;
    }

    private void Add(Message message)
    {
        lock (_lock)
        {
            _queue.Enqueue(message);
            _bytes += message.Bytes.Length;
        }
    }

    /// <summary>Takes as many bytes as fit; returns how many.</summary>
    public int Take(Span<byte> destination)
    {
        int done = 0;
        lock (_lock)
        {
            while (done < destination.Length && _queue.TryPeek(out Message first))
            {
                int n = Math.Min(first.Bytes.Length - _taken, destination.Length - done);
                first.Bytes.AsSpan(_taken, n).CopyTo(destination[done..]);
                done += n;
                _taken += n;
                if (_taken == first.Bytes.Length)
                {
                    _queue.Dequeue();
                    _taken = 0;
                    if (first.Event is { } e)
                    {
                        _events.Remove(e);
                    }
                }
            }
            _bytes -= done;
        }
        return done;
    }
}
