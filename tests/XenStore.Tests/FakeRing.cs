using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Ryokan.Xen.Abi;
using Ryokan.XenStore.Transport;

namespace Ryokan.XenStore.Tests;

/// <summary>A xenstore page and the guest's side of it.</summary>
internal sealed class FakeRing : IXenStoreRing
{
    private readonly byte[] _page = new byte[4096];
    private readonly List<byte> _received = [];
    private readonly List<byte> _unsent = [];

    public int Notifications;

    public Span<byte> Page => _page;

    public ref XenstoreDomainInterface Interface =>
        ref MemoryMarshal.AsRef<XenstoreDomainInterface>(_page.AsSpan());

    public void NoteWritten(int offset, int length)
    {
        if (offset < 0 || offset + length > _page.Length)
        {
            throw new ArgumentOutOfRangeException(nameof(offset));
        }
    }

    public void NotifyGuest() => Notifications++;

    public void Queue(uint type, string payload, uint request = 1, uint transaction = 0)
    {
        XsdSockmsg header = new()
        {
            Type = type, ReqId = request, TxId = transaction, Len = (uint)payload.Length,
        };
        _unsent.AddRange(MemoryMarshal.AsBytes(new Span<XsdSockmsg>(ref header)));
        _unsent.AddRange(Encoding.Latin1.GetBytes(payload));
    }

    /// <summary>Writes what fits of what is queued, takes what is there; true when something moved.</summary>
    public bool Exchange()
    {
        ref XenstoreDomainInterface i = ref Interface;
        bool moved = false;
        while (_unsent.Count > 0 && i.ReqProd - i.ReqCons < 1024)
        {
            i.Req[(int)(i.ReqProd % 1024)] = _unsent[0];
            _unsent.RemoveAt(0);
            i.ReqProd++;
            moved = true;
        }
        while (i.RspCons != i.RspProd)
        {
            _received.Add(i.Rsp[(int)(i.RspCons % 1024)]);
            i.RspCons++;
            moved = true;
        }
        return moved;
    }

    /// <summary>Whole messages received, as "type/request payload" with NUL as '|'.</summary>
    public List<string> TakeMessages()
    {
        List<string> messages = [];
        while (_received.Count >= 16)
        {
            XsdSockmsg header = MemoryMarshal.Read<XsdSockmsg>(_received.ToArray());
            if (_received.Count < 16 + (int)header.Len)
            {
                break;
            }
            string payload = Encoding.Latin1.GetString(_received.GetRange(16, (int)header.Len).ToArray());
            messages.Add($"{header.Type}/{header.ReqId} {payload.Replace('\0', '|')}");
            _received.RemoveRange(0, 16 + (int)header.Len);
        }
        return messages;
    }

    /// <summary>Runs both sides until nothing moves.</summary>
    public List<string> Settle(RingSession session)
    {
        bool moved;
        do
        {
            moved = Exchange();
            while (session.Pump())
            {
                moved = true;
            }
            moved |= Exchange();
        }
        while (moved);
        return TakeMessages();
    }
}
