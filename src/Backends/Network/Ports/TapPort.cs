using System;
using System.Buffers.Binary;
using System.IO;
using System.Linq;
using Microsoft.Win32.SafeHandles;
using Ryokan.Backends.Network.Packets;
using Ryokan.Linux.Interop;
using Ryokan.Linux.Interop.Network;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Network.Ports;

/// <summary>A tap device on a bridge of the host.</summary>
public sealed class TapPort : IPacketPort
{
    /// <summary>
    /// The address of the host's end, the highest there is: a bridge takes the lowest of its ports as its
    /// own.
    /// </summary>
    private static readonly byte[] HostMac = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];

    private readonly TapDevice _tap;
    private readonly TapQueue[] _queues;

    private TapPort(TapDevice tap)
    {
        _tap = tap;
        _queues = [.. tap.Queues.Select(q => new TapQueue(q))];
        Mtu = NetworkDevice.Mtu(tap.Name);
        _tap.SetCarrier(false);
    }

    public string Name => _tap.Name;

    public int MaxQueues => _queues.Length;

    public int? Mtu { get; }

    /// <summary>
    /// Makes the device and puts it on the bridge; an existing device of that name is taken.
    /// </summary>
    /// <param name="name">of the device; may contain %d</param>
    /// <param name="bridge">of the host</param>
    /// <param name="queues">at most</param>
    /// <param name="mtu">null: the bridge's</param>
    /// <exception cref="HostNetworkException">no such bridge, not permitted, the name is taken; nothing is
    /// left</exception>
    public static TapPort Open(string name, string bridge, int queues, int? mtu)
    {
        if (!NetworkDevice.IsBridge(bridge))
        {
            throw new HostNetworkException(NetworkDevice.Exists(bridge)
                ? $"{bridge} is no bridge" : $"there is no bridge {bridge}");
        }
        TapDevice tap = TapDevice.Open(name, queues);
        try
        {
            // A device that was made for this user beforehand is on its bridge already.
            if (NetworkDevice.BridgeOf(tap.Name) != bridge)
            {
                NetworkDevice.SetAddress(tap.Name, HostMac);
                NetworkDevice.SetMtu(tap.Name, mtu ?? NetworkDevice.Mtu(bridge));
                NetworkDevice.JoinBridge(tap.Name, bridge);
                NetworkDevice.SetUp(tap.Name);
            }
            return new TapPort(tap);
        }
        catch
        {
            tap.Dispose();
            throw;
        }
    }

    public void Connect(GuestOffload offload, int queues)
    {
        // The kernel knows one switch for both versions of IP; where a guest can do only one, TapQueue's user
        // makes the checksums of the other.
        TapOffload tap = (offload.ChecksumIpv4 || offload.ChecksumIpv6 ? TapOffload.Checksum : 0)
            | (offload.ChecksumIpv4 && offload.Gso4 ? TapOffload.Tcp4 : 0)
            | (offload.ChecksumIpv6 && offload.Gso6 ? TapOffload.Tcp6 : 0);
        _tap.SetOffload(tap);
        _tap.UseQueues(queues);
        foreach (TapQueue queue in _queues)
        {
            queue.DropWaiting();
        }
        _tap.SetCarrier(true);
    }

    public void Disconnect() => _tap.SetCarrier(false);

    public IPacketQueue Queue(int index) => _queues[index];

    public void Dispose()
    {
        _tap.Dispose();
        foreach (TapQueue queue in _queues)
        {
            queue.Dispose();
        }
    }
}

/// <summary>
/// One queue of a tap device. Each frame comes after a struct virtio_net_hdr: flags, gso_type, then 16-bit
/// hdr_len, gso_size, csum_start, csum_offset in the host's byte order (virtio 1.2, section 5.1.6).
/// </summary>
internal sealed class TapQueue(SafeFileHandle descriptor) : IPacketQueue, IDisposable
{
    private const byte NeedsChecksum = 1, DataValid = 2;
    private const byte GsoNone = 0, GsoTcp4 = 1, GsoTcp6 = 4, GsoEcn = 0x80;

    /// <summary>More waits in no tap device (its tx_queue_len).</summary>
    private const int MaxDropped = 10_000;

    private readonly HostBuffer _received = new(TapDevice.HeaderBytes + (64 << 10) + 256);
    private readonly HostBuffer _header = new(64);
    private int _receivedBytes;

    public SafeFileHandle Descriptor => descriptor;

    public long Deadline => long.MaxValue;

    /// <summary>A tap device takes a frame or drops it.</summary>
    public bool IsBusy => false;

    public bool Flush() => false;

    public bool TryReceive(out PacketInfo info)
    {
        int length = _received.Read(descriptor, 0, _received.Length);
        if (length < TapDevice.HeaderBytes + PacketHeaders.EthernetBytes)
        {
            info = default;
            return false;
        }
        info = Read(_received.Span, length - TapDevice.HeaderBytes);
        _receivedBytes = info.Length;
        return true;
    }

    public Span<byte> Received => _received.Span.Slice(TapDevice.HeaderBytes, _receivedBytes);

    private static PacketInfo Read(ReadOnlySpan<byte> header, int length) => new()
    {
        Length = length,
        ChecksumMissing = (header[0] & NeedsChecksum) != 0,
        ChecksumValid = (header[0] & DataValid) != 0,
        GsoType = (header[1] & ~GsoEcn) switch
        {
            GsoTcp4 => NetifGsoType.Tcpv4,
            GsoTcp6 => NetifGsoType.Tcpv6,
            _ => NetifGsoType.None,
        },
        GsoSize = BinaryPrimitives.ReadUInt16LittleEndian(header[4..]),
        ChecksumStart = BinaryPrimitives.ReadUInt16LittleEndian(header[6..]),
        ChecksumOffset = BinaryPrimitives.ReadUInt16LittleEndian(header[8..]),
    };

    public bool Send(GatherList frame, in PacketInfo info)
    {
        Span<byte> header = _header.Span[..TapDevice.HeaderBytes];
        header.Clear();
        header[0] = info.ChecksumMissing ? NeedsChecksum : (byte)0;
        header[1] = info.GsoType switch
        {
            NetifGsoType.Tcpv4 => GsoTcp4,
            NetifGsoType.Tcpv6 => GsoTcp6,
            _ => GsoNone,
        };
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], (ushort)info.HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], info.GsoSize);
        if (info.ChecksumMissing)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(header[6..], (ushort)info.ChecksumStart);
            BinaryPrimitives.WriteUInt16LittleEndian(header[8..], (ushort)info.ChecksumOffset);
        }
        frame.SetFirst(header);
        return frame.Write(descriptor) >= 0;
    }

    /// <summary>Frames that came while nobody was there are stale.</summary>
    public void DropWaiting()
    {
        for (int i = 0; i < MaxDropped && _received.Read(descriptor, 0, _received.Length) > 0; i++)
        {
        }
    }

    public void Dispose()
    {
        _received.Dispose();
        _header.Dispose();
    }
}
