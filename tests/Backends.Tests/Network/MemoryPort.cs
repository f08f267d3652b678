using System;
using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using Ryokan.Backends.Network.Packets;
using Ryokan.Backends.Network.Ports;
using Ryokan.Linux.Interop;

namespace Ryokan.Backends.Tests.Network;

/// <summary>A host's side that keeps what the guest sends and gives it what a test has for it.</summary>
internal sealed class MemoryPort(int queues = 1) : IPacketPort, IPacketQueue
{
    private const long LookNanoseconds = 1_000_000;

    private byte[] _received = [];

    public ConcurrentQueue<(byte[] Frame, PacketInfo Info)> Sent { get; } = new();

    public ConcurrentQueue<(byte[] Frame, PacketInfo Info)> Incoming { get; } = new();

    public GuestOffload? Connected { get; private set; }

    public bool IsDisposed { get; private set; }

    public int MaxQueues => queues;

    public int? Mtu => 1400;

    public void Connect(GuestOffload offload, int count) => Connected = offload;

    public void Disconnect() => Connected = null;

    public IPacketQueue Queue(int index) => this;

    public SafeFileHandle? Descriptor => null;

    public long Deadline => Futex.MonotonicNanoseconds() + LookNanoseconds;

    public bool IsBusy => false;

    public bool Flush() => false;

    public bool TryReceive(out PacketInfo info)
    {
        bool any = Incoming.TryDequeue(out (byte[] Frame, PacketInfo Info) next);
        info = next.Info;
        _received = next.Frame ?? [];
        info.Length = _received.Length;
        return any;
    }

    public Span<byte> Received => _received;

    public bool Send(GatherList frame, in PacketInfo info)
    {
        byte[] copy = new byte[frame.Length];
        frame.CopyTo(copy);
        Sent.Enqueue((copy, info));
        return true;
    }

    public void Dispose() => IsDisposed = true;
}
