using System;
using System.Runtime.InteropServices;
using Ryokan.Xen.Abi;
using Ryokan.XenStore.Wire;

namespace Ryokan.XenStore.Tests;

/// <summary>Hands requests to a session and counts the replies (not the events) that come out.</summary>
internal sealed class WireCounter
{
    private readonly WireSession _session;
    private readonly byte[] _buffer = new byte[1 << 16];
    private uint _request;

    public WireCounter(Store store) => _session = new WireSession(store, 5, () => { });

    public int Replies { get; private set; }

    public void Send(uint type, uint transaction, byte[] payload)
    {
        XsdSockmsg header = new()
        {
            Type = type, ReqId = ++_request, TxId = transaction, Len = (uint)payload.Length,
        };
        _session.Handle(header, payload);
        int length = _session.TakeOutput(_buffer);
        for (int at = 0; at < length;)
        {
            XsdSockmsg reply = MemoryMarshal.Read<XsdSockmsg>(_buffer.AsSpan(at));
            if (reply.Type != XenStoreMessageType.WatchEvent)
            {
                Replies += reply.ReqId == _request ? 1 : 0;
            }
            at += 16 + (int)reply.Len;
        }
        if (_session.QueuedBytes > 0)
        {
            throw new InvalidOperationException("more output than one request can make");
        }
    }
}
