using System;
using Microsoft.Win32.SafeHandles;
using Ryokan.Backends.Network.Packets;
using Ryokan.Linux.Interop;

namespace Ryokan.Backends.Network.Ports;

/// <summary>The host's side of a virtual interface: where its frames go and come from.</summary>
public interface IPacketPort : IDisposable
{
    /// <summary>Queues that can be used at the same time, each by a thread of its own.</summary>
    int MaxQueues { get; }

    /// <summary>Largest IP packet, for the guest to know; null: 1500.</summary>
    int? Mtu { get; }

    /// <summary>
    /// The guest is there: what it can take over, and how many queues it uses. The link goes up.
    /// </summary>
    void Connect(GuestOffload offload, int queues);

    /// <summary>The guest is gone; no queue is in use. The link goes down.</summary>
    void Disconnect();

    IPacketQueue Queue(int index);
}

/// <summary>What a front end can take over from the host's network stack.</summary>
/// <param name="ChecksumIpv4">packets over IPv4 without TCP or UDP checksum</param>
/// <param name="ChecksumIpv6">the same over IPv6</param>
/// <param name="Gso4">TCP over IPv4 larger than the MTU</param>
/// <param name="Gso6">TCP over IPv6 larger than the MTU</param>
public readonly record struct GuestOffload(bool ChecksumIpv4, bool ChecksumIpv6, bool Gso4, bool Gso6);

/// <summary>One queue of a port; used by one thread.</summary>
public interface IPacketQueue
{
    /// <summary>
    /// Ready for reading when a frame may be there, for writing when not <see cref="IsBusy"/>; or null.
    /// </summary>
    SafeFileHandle? Descriptor { get; }

    /// <summary>When to look again although the descriptor says nothing (CLOCK_MONOTONIC, ns).</summary>
    long Deadline { get; }

    /// <summary>Nothing more can be sent until <see cref="Flush"/> gets rid of what waits.</summary>
    bool IsBusy { get; }

    /// <summary>Tries to get rid of what waits. True when there was something and it is gone.</summary>
    bool Flush();

    /// <summary>
    /// Takes the next frame, which is in <see cref="Received"/> then. False: there is none.
    /// </summary>
    bool TryReceive(out PacketInfo info);

    /// <summary>The frame that was taken last; may be changed.</summary>
    Span<byte> Received { get; }

    /// <summary>Takes a frame, or drops it when the host does not want it.</summary>
    /// <param name="frame">its pieces; room for one more piece is left in front</param>
    /// <param name="info">what goes along</param>
    /// <returns>false: dropped</returns>
    bool Send(GatherList frame, in PacketInfo info);
}
