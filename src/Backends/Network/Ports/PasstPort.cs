using System;
using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Ryokan.Backends.Network.Packets;
using Ryokan.Linux.Interop;
using Ryokan.Linux.Interop.Network;

namespace Ryokan.Backends.Network.Ports;

/// <summary>
/// User-mode network: passt(1) at the other end of a stream, each frame after its length in 4 bytes,
/// big-endian (the protocol of QEMU's "-netdev stream"). One queue. When passt dies, or reads nothing any more, another is started.
/// </summary>
public sealed class PasstPort : IPacketPort, IPacketQueue
{
    private const int PrefixBytes = 4;
    private const int MaxFrameBytes = 64 << 10;
    private const int TryAgain = -11;

    /// <summary>Waits before passt is started again, doubled each time up to the second.</summary>
    private const long FirstPauseNanoseconds = 100_000_000, LongestPauseNanoseconds = 5_000_000_000;

    private readonly PasstOptions _options;
    private readonly Action<string> _log;
    private readonly HostBuffer _in = new(256 << 10);
    private readonly HostBuffer _out = new(PrefixBytes + MaxFrameBytes + 256);
    private readonly ReaderWatch _watch = new();
    private PasstProcess? _passt;
    private int _inStart, _inEnd, _frameStart, _frameEnd;
    private int _outStart, _outEnd;
    private long _restartAt = long.MaxValue;
    private long _pause = FirstPauseNanoseconds;

    /// <summary>Starts passt.</summary>
    /// <param name="options">how</param>
    /// <param name="log">gets one line when it died or cannot be started again</param>
    /// <exception cref="HostNetworkException">it cannot be started: not there, a port is taken</exception>
    public PasstPort(PasstOptions options, Action<string> log)
    {
        (_options, _log) = (options, log);
        try
        {
            _passt = PasstProcess.Start(options);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public int MaxQueues => 1;

    public int? Mtu => null;

    public void Connect(GuestOffload offload, int queues)
    {
    }

    public void Disconnect()
    {
    }

    public IPacketQueue Queue(int index) => this;

    public SafeFileHandle? Descriptor => _passt?.Socket;

    public long Deadline => Math.Min(_restartAt, _watch.Deadline);

    public bool IsBusy => _outStart != _outEnd;

    public Span<byte> Received => _in.Span[_frameStart.._frameEnd];

    public bool TryReceive(out PacketInfo info)
    {
        // passt sends whole checksums, over a way that spoils none.
        info = new PacketInfo { ChecksumValid = true };
        if (_passt == null && !TryRestart())
        {
            return false;
        }
        while (!TryTakeFrame())
        {
            if (_passt == null || !TryFill())
            {
                return false;
            }
        }
        info.Length = _frameEnd - _frameStart;
        return true;
    }

    private bool TryTakeFrame()
    {
        int there = _inEnd - _inStart;
        if (there < PrefixBytes)
        {
            return false;
        }
        uint length = BinaryPrimitives.ReadUInt32BigEndian(_in.Span[_inStart..]);
        if (length is < PacketHeaders.EthernetBytes or > MaxFrameBytes)
        {
            Lose($"passt sent a frame of {length} bytes");
            return false;
        }
        if (there < PrefixBytes + (int)length)
        {
            return false;
        }
        _frameStart = _inStart + PrefixBytes;
        _inStart = _frameEnd = _frameStart + (int)length;
        return true;
    }

    /// <summary>Reads what there is behind what is left; false when there is nothing.</summary>
    private bool TryFill()
    {
        if (_in.Length - _inEnd < PrefixBytes + MaxFrameBytes)
        {
            _in.Span[_inStart.._inEnd].CopyTo(_in.Span);
            (_inStart, _inEnd) = (0, _inEnd - _inStart);
        }
        int n = _in.Read(_passt!.Socket, _inEnd, _in.Length - _inEnd);
        if (n > 0)
        {
            _inEnd += n;
            _pause = FirstPauseNanoseconds;
            return true;
        }
        if (n != TryAgain)
        {
            Lose("passt ended");
        }
        return false;
    }

    public bool Send(GatherList frame, in PacketInfo info)
    {
        if (_passt == null || frame.Length > MaxFrameBytes)
        {
            return false;
        }
        int length = (int)frame.Length;
        BinaryPrimitives.WriteInt32BigEndian(_out.Span, length);
        Span<byte> copy = _out.Span.Slice(PrefixBytes, length);
        frame.CopyTo(copy);
        if (info.ChecksumMissing)
        {
            // A packet to be segmented goes as it is, larger than any MTU: passt takes payload of any length.
            int summed = length - info.ChecksumStart;
            InternetChecksum.Complete(copy, info.ChecksumStart, info.ChecksumOffset, summed);
        }
        (_outStart, _outEnd) = (0, PrefixBytes + length);
        Flush();
        return true;
    }

    /// <summary>
    /// Looks for a passt that is stuck, too. Debian 12's can be caught in a loop of its own when several packets of one connection come at once
    /// (it counts packets down past zero): it takes a whole processor then and looks at nothing else.
    /// </summary>
    public bool Flush()
    {
        if (_passt != null && _watch.IsStuck(_passt.Socket))
        {
            Lose($"passt has read nothing for {ReaderWatch.LimitNanoseconds / 1_000_000_000} s and is ended");
        }
        if (!IsBusy || _passt == null)
        {
            return false;
        }
        int n = _out.Send(_passt.Socket, _outStart, _outEnd - _outStart);
        if (n < 0 && n != TryAgain)
        {
            Lose("passt ended");
            return true;
        }
        _outStart += Math.Max(n, 0);
        _watch.Sent(_passt.Socket);
        return !IsBusy;
    }

    /// <summary>Lets go of a passt that died or talks nonsense; another is started after a pause.</summary>
    private void Lose(string reason)
    {
        _log(reason);
        _passt?.Dispose();
        _passt = null;
        _watch.Reset();
        _inStart = _inEnd = _outStart = _outEnd = 0;
        _restartAt = Futex.MonotonicNanoseconds() + _pause;
        _pause = Math.Min(_pause * 2, LongestPauseNanoseconds);
    }

    private bool TryRestart()
    {
        if (Futex.MonotonicNanoseconds() < _restartAt)
        {
            return false;
        }
        try
        {
            _passt = PasstProcess.Start(_options);
            _restartAt = long.MaxValue;
            _log("passt was started again");
            return true;
        }
        catch (HostNetworkException e)
        {
            Lose(e.Message);
            return false;
        }
    }

    public void Dispose()
    {
        _passt?.Dispose();
        _in.Dispose();
        _out.Dispose();
    }
}
