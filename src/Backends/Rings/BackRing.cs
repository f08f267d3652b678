using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Ryokan.Backends.Rings;

/// <summary>
/// The back end's side of a request/response ring (xen/include/public/io/ring.h). The shared indices are the
/// guest's to spoil: the request producer is read once and must not run past what the ring can hold, and our
/// own positions are kept here and never read back. One thread takes requests; responses may come from
/// others, serialized by the caller.
/// </summary>
public sealed class BackRing : IDisposable
{
    private const int HeaderBytes = 64;
    private const int ReqProdOffset = 0, ReqEventOffset = 4, RspProdOffset = 8, RspEventOffset = 12;

    private readonly RingPages _pages;
    private readonly int _slotBytes;
    private readonly uint _mask;
    private uint _requestConsumer;
    private uint _requestProducer;
    private uint _responseProducer;
    private uint _published;

    /// <param name="pages">the ring's pages; belong to this ring from now on</param>
    /// <param name="slotBytes">size of the larger of a request and a response (sizeof the entry union)</param>
    public BackRing(RingPages pages, int slotBytes)
    {
        _pages = pages;
        _slotBytes = slotBytes;
        Slots = (int)BitOperations.RoundUpToPowerOf2((uint)((pages.Length - HeaderBytes) / slotBytes) + 1) / 2;
        _mask = (uint)Slots - 1;
        // A ring that was in use already (the back end restarted under it) goes on where it was.
        _responseProducer = Volatile.Read(ref _pages.Field(RspProdOffset));
        _requestConsumer = _requestProducer = _published = _responseProducer;
    }

    /// <summary>Entries of the ring, a power of two: also the most requests in flight.</summary>
    public int Slots { get; }

    /// <summary>Requests taken and not answered.</summary>
    public int InFlight => (int)(_requestConsumer - Volatile.Read(ref _responseProducer));

    /// <summary>Index of the request that the next <see cref="TryTake"/> gives.</summary>
    public uint NextRequest => _requestConsumer;

    /// <summary>Requests that are there to be taken. Reads the shared index when none is known.</summary>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public int Available
    {
        get
        {
            if (_requestConsumer == _requestProducer)
            {
                LookForRequests();
            }
            return (int)(_requestProducer - _requestConsumer);
        }
    }

    private void LookForRequests()
    {
        uint produced = Volatile.Read(ref _pages.Field(ReqProdOffset));
        if (produced - Volatile.Read(ref _responseProducer) > (uint)Slots
            || produced - _requestConsumer > (uint)Slots)
        {
            throw new FrontendException(
                $"the ring's request producer jumped from {_requestProducer} to {produced}");
        }
        _requestProducer = produced;
    }

    /// <summary>Whether that many requests are there to be taken.</summary>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public bool Has(int count)
    {
        if (_requestProducer - _requestConsumer < (uint)count)
        {
            LookForRequests();
        }
        return _requestProducer - _requestConsumer >= (uint)count;
    }

    /// <summary>
    /// As <see cref="FinalCheck()"/>, for who can do nothing with fewer than <paramref name="count"/> requests.
    /// </summary>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public bool FinalCheck(int count)
    {
        if (Has(count))
        {
            return true;
        }
        Volatile.Write(ref _pages.Field(ReqEventOffset), _requestConsumer + (uint)count);
        Interlocked.MemoryBarrier();
        _pages.NoteWritten();
        return Has(count);
    }

    /// <summary>Copies the next request out, once; false when there is none.</summary>
    /// <param name="request">gets its bytes; at most the size of a slot</param>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public bool TryTake<T>(out T request)
        where T : unmanaged
    {
        Unsafe.SkipInit(out request);
        return TryTake(MemoryMarshal.AsBytes(new Span<T>(ref request)));
    }

    /// <summary>The same for requests whose layout depends on the front end.</summary>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public bool TryTake(Span<byte> request)
    {
        if (Available == 0)
        {
            return false;
        }
        _pages.Read(SlotOffset(_requestConsumer), request);
        _requestConsumer++;
        return true;
    }

    /// <summary>
    /// To be called when no request is left, before sleeping: asks the guest for an event at its next
    /// request, and looks again. True when there is one after all.
    /// </summary>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public bool FinalCheck()
    {
        if (Available > 0)
        {
            return true;
        }
        Volatile.Write(ref _pages.Field(ReqEventOffset), _requestConsumer + 1);
        Interlocked.MemoryBarrier();
        _pages.NoteWritten();
        return Available > 0;
    }

    /// <summary>
    /// Puts a response into the next slot; <see cref="Publish"/> shows it to the guest. There is always room:
    /// each answers a request that was taken.
    /// </summary>
    public void Put<T>(in T response)
        where T : unmanaged => Put(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in response)));

    /// <summary>The same for responses whose layout depends on the front end.</summary>
    public void Put(ReadOnlySpan<byte> response)
    {
        if (_responseProducer == _requestConsumer)
        {
            throw new InvalidOperationException("a response without a request");
        }
        _pages.Write(SlotOffset(_responseProducer), response);
        Volatile.Write(ref _responseProducer, _responseProducer + 1);
    }

    /// <summary>Shows all responses to the guest. True when it asked for an event at one of them.</summary>
    public bool Publish()
    {
        uint old = _published, now = _responseProducer;
        if (old == now)
        {
            return false;
        }
        // The responses must be there before the index says so, and the index before we look at rsp_event.
        Interlocked.MemoryBarrier();
        Volatile.Write(ref _pages.Field(RspProdOffset), now);
        Interlocked.MemoryBarrier();
        uint wanted = Volatile.Read(ref _pages.Field(RspEventOffset));
        _published = now;
        _pages.NoteWritten();
        return now - wanted < now - old;
    }

    private int SlotOffset(uint index) => HeaderBytes + (int)(index & _mask) * _slotBytes;

    public void Dispose() => _pages.Dispose();
}
