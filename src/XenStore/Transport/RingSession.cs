using System;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Xen.Abi;
using Ryokan.XenStore.Wire;

namespace Ryokan.XenStore.Transport;

/// <summary>
/// Moves messages between a guest's xenstore page and a <see cref="WireSession"/>. Our indices are kept here
/// and only published; the guest's are read once and checked. A guest that breaks the ring is told so in
/// the page's error field and is not served any more.
/// </summary>
public sealed class RingSession : IDisposable
{
    private const int ReqConsOffset = 2048;
    private const int ReqProdOffset = 2052;
    private const int RspConsOffset = 2056;
    private const int RspProdOffset = 2060;
    private const int ServerFeaturesOffset = 2064;
    private const int ErrorOffset = 2072;
    private const int RspOffset = XenStoreLimits.RingSize;
    private const uint RingSize = XenStoreLimits.RingSize;

    /// <summary>Requests served in one <see cref="Pump"/>, so that output flows in between.</summary>
    private const int MaxRequestsAtOnce = 32;

    private readonly IXenStoreRing _ring;
    private readonly byte[] _incoming = new byte[Outbox.HeaderSize + XenStoreLimits.PayloadMax];
    private int _received;
    private uint _reqCons, _rspProd;

    public WireSession Session { get; }

    /// <summary>
    /// The guest broke the protocol: one of <see cref="XenStoreError"/>; None while all is well.
    /// </summary>
    public uint Failure { get; private set; }

    /// <param name="outputReady">call <see cref="Pump"/> soon; runs with the store locked</param>
    public RingSession(
        Store store, int domain, IXenStoreRing ring, Action outputReady, StoreQuota? quota = null)
    {
        _ring = ring;
        _reqCons = Volatile.Read(ref Word(ReqConsOffset));
        _rspProd = Volatile.Read(ref Word(RspProdOffset));
        Publish(ServerFeaturesOffset, XenStoreServerFeature.Error);
        Session = new WireSession(store, domain, outputReady, quota);
    }

    private ref uint Word(int offset) =>
        ref MemoryMarshal.AsRef<uint>(_ring.Page.Slice(offset, sizeof(uint)));

    private void Publish(int offset, uint value)
    {
        Interlocked.Exchange(ref Word(offset), value);
        _ring.NoteWritten(offset, sizeof(uint));
    }

    /// <summary>
    /// Serves requests that are there and sends output that fits. One thread at a time. True when there is
    /// more to do at once; false: wait for the guest's or the store's next signal.
    /// </summary>
    public bool Pump()
    {
        bool progress = false;
        bool more = false;
        int served = 0;
        while (Failure == XenStoreError.None)
        {
            if (served == MaxRequestsAtOnce)
            {
                more = true;
                break;
            }
            if (Session.QueuedBytes > WireSession.MaxQueuedBytes || !Receive(ref progress))
            {
                break;
            }
            served++;
        }
        progress |= Failure == XenStoreError.None && Send();
        if (progress)
        {
            _ring.NotifyGuest();
        }
        return more && Failure == XenStoreError.None;
    }

    /// <summary>Takes bytes of a request; true when it was complete and served.</summary>
    private bool Receive(ref bool progress)
    {
        uint available = Volatile.Read(ref Word(ReqProdOffset)) - _reqCons;
        if (available > RingSize)
        {
            Fail(XenStoreError.Ringidx);
            return false;
        }
        int wanted = Outbox.HeaderSize;
        XsdSockmsg header = default;
        while (true)
        {
            if (_received >= Outbox.HeaderSize)
            {
                header = MemoryMarshal.Read<XsdSockmsg>(_incoming);
                if (header.Len > XenStoreLimits.PayloadMax)
                {
                    Fail(XenStoreError.Proto);
                    return false;
                }
                wanted = Outbox.HeaderSize + (int)header.Len;
                if (_received == wanted)
                {
                    break;
                }
            }
            if (available == 0)
            {
                available = LookAgain();
                if (available == 0)
                {
                    return false;
                }
                if (available > RingSize)
                {
                    Fail(XenStoreError.Ringidx);
                    return false;
                }
            }
            int n = (int)Math.Min(available, (uint)(wanted - _received));
            CopyRequest(n);
            available -= (uint)n;
            progress = true;
        }
        _received = 0;
        Session.Handle(header, _incoming.AsSpan(Outbox.HeaderSize, (int)header.Len));
        return true;
    }

    /// <summary>
    /// What came while the bytes before were taken. The guest raises the port only when it sees that all it had
    /// written before is taken, so this look has to come after reqCons is published. Linux has no fence between
    /// storing its index and loading ours: the barrier in all threads of this process, which the vCPUs
    /// are, stands in for it, so that one of the two sides sees the other's index.
    /// </summary>
    private uint LookAgain()
    {
        Interlocked.MemoryBarrierProcessWide();
        return Volatile.Read(ref Word(ReqProdOffset)) - _reqCons;
    }

    private void CopyRequest(int count)
    {
        Span<byte> to = _incoming.AsSpan(_received, count);
        int at = (int)(_reqCons % RingSize);
        int first = Math.Min(count, (int)RingSize - at);
        _ring.Page.Slice(at, first).CopyTo(to);
        _ring.Page[..(count - first)].CopyTo(to[first..]);
        _received += count;
        _reqCons += (uint)count;
        Publish(ReqConsOffset, _reqCons);
    }

    private bool Send()
    {
        bool progress = false;
        while (Session.QueuedBytes > 0)
        {
            uint used = _rspProd - Volatile.Read(ref Word(RspConsOffset));
            if (used > RingSize)
            {
                Fail(XenStoreError.Ringidx);
                return progress;
            }
            int at = (int)(_rspProd % RingSize);
            int room = Math.Min((int)(RingSize - used), (int)RingSize - at);
            int n = Session.TakeOutput(_ring.Page.Slice(RspOffset + at, room));
            if (n == 0)
            {
                return progress;
            }
            _ring.NoteWritten(RspOffset + at, n);
            _rspProd += (uint)n;
            Publish(RspProdOffset, _rspProd);
            progress = true;
        }
        return progress;
    }

    private void Fail(uint error)
    {
        Failure = error;
        Publish(ErrorOffset, error);
    }

    public void Dispose() => Session.Dispose();
}
