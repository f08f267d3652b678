using System;
using System.Buffers.Binary;
using System.Threading;
using Ryokan.Backends.Network.Packets;
using Ryokan.Backends.Network.Ports;
using Ryokan.Backends.Rings;
using Ryokan.GuestMemory;
using Ryokan.Linux.Interop;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Network.Queues;

/// <summary>What the queues of one interface share.</summary>
/// <param name="Guest">whose interface</param>
/// <param name="Features">what its front end can do</param>
/// <param name="Filter">keeps it to its addresses, or null</param>
/// <param name="Rate">limits what it sends, or null</param>
/// <param name="Multicast">what it wants to receive</param>
/// <param name="Counters">are kept here</param>
internal sealed record QueueContext(
    GuestAccess Guest, FrontendFeatures Features, SourceFilter? Filter, RateLimit? Rate,
    MulticastFilter Multicast, InterfaceCounters Counters);

/// <summary>
/// One pair of rings and one queue of the port, moved by one thread: it takes what the guest sends, gives it
/// what came, and sleeps when there is neither. Answers and events go out once for each batch.
/// </summary>
internal sealed class InterfaceQueue : IDisposable
{
    /// <summary>Frames of one direction before the other has its turn.</summary>
    private const int Batch = 64;

    /// <summary>How often a front end is looked after that sends no events about its buffers.</summary>
    private const long PollNanoseconds = 30_000_000;

    private readonly QueueContext _context;
    private readonly IPacketQueue _port;
    private readonly BackRing _txRing, _rxRing;
    private readonly TransmitRing _transmit;
    private readonly ReceiveRing _receive;
    private readonly EventDescriptor _work = new();
    private readonly uint _txPort, _rxPort;
    private readonly Action<string> _failed;
    private readonly Thread _thread;
    private volatile bool _stop;
    private bool _started;

    /// <summary>The frame in the port's hands that waits for the guest's buffers, if any.</summary>
    private PacketInfo _held;
    private bool _isHeld;

    /// <summary>The guest offers too few buffers.</summary>
    private bool _isStarved;
    private long _sendAgainAt = long.MaxValue;

    /// <summary>
    /// Takes over the rings and binds the event channels; runs from <see cref="Start"/> on.
    /// </summary>
    /// <param name="context">what the queues share</param>
    /// <param name="name">of the thread, 15 characters at most</param>
    /// <param name="port">the host's side</param>
    /// <param name="rings">transmit and receive</param>
    /// <param name="channels">the guest's ports for them; may be one</param>
    /// <param name="failed">gets the message of a <see cref="FrontendException"/>; the thread ends
    /// then</param>
    /// <exception cref="FrontendException">the guest has no such ports for us</exception>
    public InterfaceQueue(
        QueueContext context, string name, IPacketQueue port, (BackRing Tx, BackRing Rx) rings,
        (uint Tx, uint Rx) channels, Action<string> failed)
    {
        (_context, _port, _failed) = (context, port, failed);
        (_txRing, _rxRing) = rings;
        _transmit = new TransmitRing(context.Guest, _txRing, context.Multicast);
        _receive = new ReceiveRing(context.Guest, _rxRing);
        _thread = new Thread(Run) { IsBackground = true, Name = name };
        try
        {
            _txPort = Bind(channels.Tx);
            _rxPort = channels.Rx == channels.Tx ? _txPort : Bind(channels.Rx);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private uint Bind(uint channel)
    {
        long error = _context.Guest.Events.BindBackend(channel, _work.Set, out uint port);
        return error == 0 ? port
            : throw new FrontendException($"event channel {channel} cannot be bound (errno {-error})");
    }

    public void Start()
    {
        _started = true;
        _thread.Start();
    }

    private void Run()
    {
        try
        {
            while (!_stop)
            {
                bool moved = _port.Flush();
                moved |= Transmit();
                moved |= Receive();
                if (!moved && !AskForEvents())
                {
                    Sleep();
                }
            }
        }
        catch (FrontendException e)
        {
            _failed(e.Message);
        }
    }

    private bool Transmit()
    {
        bool moved = false;
        _sendAgainAt = long.MaxValue;
        for (int i = 0; i < Batch && !_port.IsBusy && MaySend(); i++)
        {
            TransmitResult result = _transmit.Take();
            if (result == TransmitResult.None)
            {
                break;
            }
            moved = true;
            if (result == TransmitResult.Packet)
            {
                PacketInfo info = _transmit.Info;
                bool sent = Prepare(ref info) && _port.Send(_transmit.Frame, info);
                _transmit.Complete(NetifResult.Okay);
                _context.Rate?.Spend(info.Length);
                _context.Counters.Sent(info.Length, sent);
            }
        }
        if (_txRing.Publish())
        {
            _context.Guest.Events.NotifyGuest(_txPort);
        }
        return moved;
    }

    private bool MaySend() => _context.Rate == null || _context.Rate.MaySend(out _sendAgainAt);

    /// <summary>
    /// Checks what the guest may not do and finds where the checksum goes. False: the frame is dropped.
    /// </summary>
    private bool Prepare(ref PacketInfo info)
    {
        Span<byte> head = _transmit.Head;
        if (!PacketHeaders.TryParse(head, out PacketHeaders headers)
            || (_context.Filter != null && !_context.Filter.Allows(head, headers)))
        {
            return false;
        }
        if (!info.ChecksumMissing)
        {
            return true;
        }
        bool fits = headers.HeaderLength != 0
            && headers.TransportOffset + headers.TransportLength <= info.Length
            && info.GsoType switch
            {
                NetifGsoType.None => true,
                NetifGsoType.Tcpv4 => headers.IsIpv4 && headers.Protocol == PacketHeaders.ProtocolTcp,
                _ => headers.IsIpv6 && headers.Protocol == PacketHeaders.ProtocolTcp,
            };
        if (!fits)
        {
            return false;
        }
        info.ChecksumStart = headers.TransportOffset;
        info.ChecksumOffset = headers.ChecksumOffset;
        info.HeaderLength = headers.HeaderLength;
        // Most front ends have put that sum there; some leave the field empty.
        BinaryPrimitives.WriteUInt16BigEndian(
            head[(info.ChecksumStart + info.ChecksumOffset)..], InternetChecksum.PseudoHeader(head, headers));
        return true;
    }

    private bool Receive()
    {
        bool moved = false;
        for (int i = 0; i < Batch && (_isHeld || TryHold()); i++)
        {
            if (_isHeld)
            {
                if (!_rxRing.Has(ReceiveRing.SlotsFor(_held)))
                {
                    break;
                }
                bool good = _receive.Deliver(_port.Received, _held);
                _context.Counters.Received(_held.Length, good);
                _isHeld = false;
            }
            moved = true;
        }
        if (_rxRing.Publish())
        {
            _context.Guest.Events.NotifyGuest(_rxPort);
        }
        return moved;
    }

    /// <summary>
    /// Takes the next frame from the port, when the guest has any buffer; it is held unless the guest does
    /// not want it. False: there is none.
    /// </summary>
    private bool TryHold()
    {
        if (!_rxRing.Has(1) || !_port.TryReceive(out _held))
        {
            return false;
        }
        _isHeld = Adapt();
        if (!_isHeld)
        {
            _context.Counters.Received(0, good: false);
        }
        return true;
    }

    /// <summary>
    /// Does for the held frame what the front end cannot do itself. False: it cannot or will not have the
    /// frame.
    /// </summary>
    private bool Adapt()
    {
        FrontendFeatures features = _context.Features;
        Span<byte> frame = _port.Received;
        if (features.FiltersMulticast && !_context.Multicast.Wants(frame[..PacketHeaders.AddressBytes]))
        {
            return false;
        }
        bool segmentsIt = _held.GsoType switch
        {
            NetifGsoType.None => true,
            NetifGsoType.Tcpv4 => features.Offload.Gso4,
            _ => features.Offload.Gso6,
        };
        if (!segmentsIt || (!features.Scatter && frame.Length > GuestFrames.PageSize))
        {
            return false;
        }
        return !_held.ChecksumMissing || CompleteChecksum(frame);
    }

    /// <summary>Makes the checksum when the front end does not do it for that version of IP.</summary>
    private bool CompleteChecksum(Span<byte> frame)
    {
        if (!PacketHeaders.TryParse(frame, out PacketHeaders headers))
        {
            return false;
        }
        bool checksIt = headers.IsIpv6 ? _context.Features.Offload.ChecksumIpv6
            : headers.IsIpv4 && _context.Features.Offload.ChecksumIpv4;
        int length = Math.Min(headers.TransportLength, frame.Length - _held.ChecksumStart);
        if (!checksIt)
        {
            if (_held.ChecksumStart != headers.TransportOffset || length <= _held.ChecksumOffset + 1)
            {
                return false;
            }
            InternetChecksum.Complete(frame, _held.ChecksumStart, _held.ChecksumOffset, length);
            _held.ChecksumMissing = false;
            _held.ChecksumValid = true;
        }
        return true;
    }

    /// <summary>
    /// Asks for an event at the next request of each kind; true when there is one after all.
    /// </summary>
    private bool AskForEvents()
    {
        bool sends = !_port.IsBusy && _sendAgainAt == long.MaxValue && _txRing.FinalCheck();
        int buffers = _isHeld ? ReceiveRing.SlotsFor(_held) : 1;
        _isStarved = !_rxRing.FinalCheck(buffers);
        return sends || (_isHeld && !_isStarved);
    }

    private void Sleep()
    {
        long deadline = Math.Min(_port.Deadline, _sendAgainAt);
        if (_isStarved && !_context.Features.RxNotify)
        {
            deadline = Math.Min(deadline, Futex.MonotonicNanoseconds() + PollNanoseconds);
        }
        _work.Wait(_port.Descriptor, input: !_isStarved && !_isHeld, output: _port.IsBusy, deadline);
    }

    /// <summary>
    /// Unbinds the ports, waits for the thread to end, and lets go of the rings. Not from its own thread.
    /// </summary>
    public void Dispose()
    {
        Unbind(_txPort);
        Unbind(_rxPort);
        _stop = true;
        if (_started)
        {
            _work.Set();
            _thread.Join();
        }
        _transmit.Dispose();
        _txRing.Dispose();
        _rxRing.Dispose();
        _work.Dispose();
    }

    private void Unbind(uint port)
    {
        if (port != 0)
        {
            _context.Guest.Events.UnbindBackend(port);
        }
    }
}
