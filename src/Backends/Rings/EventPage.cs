using System;
using System.Globalization;
using System.Threading;
using Ryokan.Backends.Xenbus;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Grants;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Rings;

/// <summary>Where the two rings of an <see cref="EventPage"/> lie; offsets and sizes in bytes, lengths in events.</summary>
/// <param name="InOffset">of the ring that we fill</param>
/// <param name="InLength">events that it holds</param>
/// <param name="OutOffset">of the ring that the guest fills</param>
/// <param name="OutLength">events that it holds</param>
public sealed record EventRings(int InOffset, int InLength, int OutOffset, int OutLength)
{
    /// <summary>Bytes of an event of any kind and direction.</summary>
    public const int EventBytes = FramebufferEvent.InEventSize;

    /// <summary>xen/include/public/io/fbif.h.</summary>
    public static EventRings Framebuffer { get; } = new(FramebufferEvent.InRingOffs, FramebufferEvent.InRingLen,
        FramebufferEvent.OutRingOffs, FramebufferEvent.OutRingLen);

    /// <summary>xen/include/public/io/kbdif.h.</summary>
    public static EventRings Keyboard { get; } = new(KeyboardEvent.InRingOffs, KeyboardEvent.InRingLen,
        KeyboardEvent.OutRingOffs, KeyboardEvent.OutRingLen);
}

/// <summary>
/// A page that holds two rings of events, one each way, and their four indices at its start (fbif.h, kbdif.h):
/// in_cons, in_prod, out_cons, out_prod. All of it is the guest's to spoil: its indices are read once and must not
/// run past what a ring can hold, and our own are kept here and never read back. One thread.
/// </summary>
public sealed class EventPage : IDisposable
{
    private const int InConsumerOffset = 0, InProducerOffset = 4, OutConsumerOffset = 8, OutProducerOffset = 12;

    private readonly GuestFrames _frames;
    private readonly GrantMapping? _grant;
    private readonly EventRings _rings;
    private uint _inProducer, _outConsumer, _outPublished;

    private EventPage(GuestFrames frames, long index, GrantMapping? grant, EventRings rings)
    {
        (_frames, FrameIndex, _grant, _rings) = (frames, index, grant, rings);
        // A page that was in use already goes on where it was.
        _inProducer = Volatile.Read(ref Field(InProducerOffset));
        _outConsumer = _outPublished = Volatile.Read(ref Field(OutConsumerOffset));
    }

    /// <summary>Dense index of the page's frame.</summary>
    public long FrameIndex { get; }

    /// <summary>
    /// The page that the front end names: by grant (page-gref), or as both interfaces began, by frame number
    /// (page-ref).
    /// </summary>
    /// <exception cref="FrontendException">there is no such grant, or the frame is no RAM of the domain's</exception>
    public static EventPage Map(GuestAccess guest, DeviceNodes nodes, EventRings rings)
    {
        if (nodes.ReadOptionalNumber("page-gref") is not { } reference)
        {
            return new EventPage(guest.Frames, RamIndex(guest.Frames, FrameNumber(nodes)), null, rings);
        }
        short status = guest.Grants.Map(reference, readOnly: false, out GrantMapping? grant);
        return status == GrantStatus.Okay ? new EventPage(guest.Frames, grant!.FrameIndex, grant, rings)
            : throw new FrontendException($"page-gref: grant {reference} cannot be mapped (status {status})");
    }

    /// <summary>Linux writes it as an unsigned long.</summary>
    private static ulong FrameNumber(DeviceNodes nodes)
    {
        string text = nodes.ReadFrontend("page-ref") ?? throw new FrontendException("page-ref is missing");
        return ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong frame) ? frame
            : throw new FrontendException($"page-ref is '{DeviceNodes.Shown(text)}', not a frame number");
    }

    /// <summary>Dense index of a frame that the guest names by number.</summary>
    /// <exception cref="FrontendException">it is no RAM of the domain's</exception>
    internal static long RamIndex(GuestFrames frames, ulong mfn) => mfn < frames.RamFrames ? frames.IndexOf(mfn)
        : throw new FrontendException($"frame {mfn:x} is not the domain's");

    /// <summary>A 32-bit field of the page; offset a multiple of 4.</summary>
    internal ref uint Field(int offset) => ref _frames.UInt32At(FrameIndex, offset);

    /// <summary>Copies the guest's next event out, once; false when there is none.</summary>
    /// <param name="destination">gets its first bytes</param>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public bool TryTake(Span<byte> destination)
    {
        uint waiting = Volatile.Read(ref Field(OutProducerOffset)) - _outConsumer;
        if (waiting > (uint)_rings.OutLength)
        {
            throw new FrontendException($"the out ring's producer index jumped by {waiting}");
        }
        if (waiting == 0)
        {
            return false;
        }
        int offset = _rings.OutOffset + (int)(_outConsumer % (uint)_rings.OutLength) * EventRings.EventBytes;
        _frames.SpanAt(FrameIndex).Slice(offset, destination.Length).CopyTo(destination);
        _outConsumer++;
        return true;
    }

    /// <summary>
    /// Gives the places of taken events back. True when the guest may have found the ring full meanwhile: it sends
    /// no event of its own then and waits for one of ours.
    /// </summary>
    public bool Release()
    {
        uint before = _outPublished;
        if (before == _outConsumer)
        {
            return false;
        }
        // Our reads of the events come before the index that gives their places away.
        Interlocked.MemoryBarrier();
        Volatile.Write(ref Field(OutConsumerOffset), _outConsumer);
        Interlocked.MemoryBarrier();
        _outPublished = _outConsumer;
        _frames.NoteWritten(FrameIndex, OutConsumerOffset, sizeof(uint));
        return Volatile.Read(ref Field(OutProducerOffset)) - before >= (uint)_rings.OutLength;
    }

    /// <summary>Puts an event into the guest's ring; false when it is full. The guest has to be notified.</summary>
    /// <param name="source">at most <see cref="EventRings.EventBytes"/>; the rest of the event is zero</param>
    /// <exception cref="FrontendException">the consumer index is not where it can be</exception>
    public bool TryPut(ReadOnlySpan<byte> source)
    {
        uint pending = _inProducer - Volatile.Read(ref Field(InConsumerOffset));
        if (pending > (uint)_rings.InLength)
        {
            throw new FrontendException($"the in ring's consumer index jumped: {(int)pending} events behind");
        }
        if (pending == (uint)_rings.InLength)
        {
            return false;
        }
        int offset = _rings.InOffset + (int)(_inProducer % (uint)_rings.InLength) * EventRings.EventBytes;
        Span<byte> place = _frames.SpanAt(FrameIndex).Slice(offset, EventRings.EventBytes);
        source.CopyTo(place);
        place[source.Length..].Clear();
        _inProducer++;
        Interlocked.MemoryBarrier();
        Volatile.Write(ref Field(InProducerOffset), _inProducer);
        _frames.NoteWritten(FrameIndex, offset, EventRings.EventBytes);
        _frames.NoteWritten(FrameIndex, InProducerOffset, sizeof(uint));
        return true;
    }

    /// <summary>Lets go of the grant, where there is one.</summary>
    public void Dispose() => _grant?.Dispose();
}
