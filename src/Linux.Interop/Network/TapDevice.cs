using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop.Network;

/// <summary>What the other side of a tap device can take over from the host's network stack.</summary>
[Flags]
public enum TapOffload
{
    None = 0,

    /// <summary>Packets whose TCP or UDP checksum is left to the receiver.</summary>
    Checksum = 1,

    /// <summary>TCP packets over IPv4 larger than the MTU.</summary>
    Tcp4 = 2,

    /// <summary>The same over IPv6.</summary>
    Tcp6 = 4,
}

/// <summary>
/// A tap device (Linux Documentation/networking/tuntap.rst): Ethernet frames, each after a struct
/// virtio_net_hdr of 10 bytes (linux/virtio_net.h), on one or more queues. It goes when it is disposed,
/// unless it was there before (ip tuntap add).
/// </summary>
public sealed unsafe partial class TapDevice : IDisposable
{
    /// <summary>Bytes of the header before each frame.</summary>
    public const int HeaderBytes = 10;

    private const nuint SetInterface = 0x400454ca, SetOffloads = 0x400454d0, SetCarrierState = 0x400454e2;
    private const nuint SetQueue = 0x400454d9;
    private const ushort AttachQueue = 0x0200, DetachQueue = 0x0400;
    private const ushort Tap = 2, NoPacketInfo = 0x1000, VnetHeader = 0x4000, MultiQueue = 0x0100;
    private const int ReadWrite = 2, NonBlocking = 0x800, CloseOnExec = 0x80000;
    private const int RequestBytes = 40, NameBytes = 16;

    private readonly List<SafeFileHandle> _queues = [];
    private readonly HashSet<int> _detached = [];

    [LibraryImport(
        "libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Ioctl(SafeFileHandle fd, nuint request, byte* argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Ioctl(SafeFileHandle fd, nuint request, nuint argument);

    private TapDevice(string name) => Name = name;

    public string Name { get; private set; }

    /// <summary>One descriptor for each queue, non-blocking.</summary>
    public IReadOnlyList<SafeFileHandle> Queues => _queues;

    /// <summary>
    /// Makes a tap device, or opens one that is there and belongs to this user. A name may contain %d, for
    /// which the kernel puts a number. With one queue where the device that is there has only that.
    /// </summary>
    /// <exception cref="HostNetworkException">not permitted, the name is taken</exception>
    public static TapDevice Open(string name, int queues)
    {
        TapDevice tap = new(name);
        bool existed = NetworkDevice.Exists(name);
        try
        {
            if (!tap.TryAddQueue(MultiQueue, out string error)
                && !(existed && tap.TryAddQueue(0, out error)))
            {
                throw new HostNetworkException($"tap device {name}: {error}");
            }
            while (tap._queues.Count < queues && tap.TryAddQueue(MultiQueue, out _))
            {
                // Fewer queues do as well.
            }
            return tap;
        }
        catch
        {
            tap.Dispose();
            throw;
        }
    }

    private bool TryAddQueue(ushort flags, out string error)
    {
        int fd = OpenFile("/dev/net/tun", ReadWrite | NonBlocking | CloseOnExec);
        SafeFileHandle queue = new(fd, ownsHandle: true);
        byte* request = stackalloc byte[RequestBytes];
        new Span<byte>(request, RequestBytes).Clear();
        Encoding.ASCII.GetBytes(Name, new Span<byte>(request, NetworkDevice.MaxName));
        *(ushort*)(request + NameBytes) = (ushort)(Tap | NoPacketInfo | VnetHeader | flags);
        if (queue.IsInvalid || Ioctl(queue, SetInterface, request) != 0)
        {
            error = (queue.IsInvalid ? "/dev/net/tun: " : "") + NetworkDevice.LastError();
            queue.Dispose();
            return false;
        }
        error = "";
        Name = Encoding.ASCII.GetString(new Span<byte>(request, NameBytes)).TrimEnd('\0');
        _queues.Add(queue);
        return true;
    }

    /// <summary>Says what packets may come out of the device; the kernel does the rest itself.</summary>
    /// <exception cref="HostNetworkException">an old kernel</exception>
    public void SetOffload(TapOffload offload)
    {
        if (Ioctl(_queues[0], SetOffloads, (nuint)offload) != 0)
        {
            throw new HostNetworkException($"tap device {Name}: offload: {NetworkDevice.LastError()}");
        }
    }

    /// <summary>
    /// Leaves only the first queues in use: packets go to no other. At first all are in use; a device with
    /// one queue stays as it is.
    /// </summary>
    /// <exception cref="HostNetworkException">the host refuses</exception>
    public void UseQueues(int count)
    {
        byte* request = stackalloc byte[RequestBytes];
        for (int i = 1; i < _queues.Count; i++)
        {
            new Span<byte>(request, RequestBytes).Clear();
            *(ushort*)(request + NameBytes) = i < count ? AttachQueue : DetachQueue;
            bool wasDetached = _detached.Contains(i);
            if (wasDetached == (i < count) && Ioctl(_queues[i], SetQueue, request) != 0)
            {
                throw new HostNetworkException($"tap device {Name}: queue {i}: {NetworkDevice.LastError()}");
            }
            _ = i < count ? _detached.Remove(i) : _detached.Add(i);
        }
    }

    /// <summary>Whether the link is up: a cable plugged in at the other side.</summary>
    /// <remarks>A kernel that cannot do that leaves the link up.</remarks>
    public void SetCarrier(bool on)
    {
        int value = on ? 1 : 0;
        _ = Ioctl(_queues[0], SetCarrierState, (byte*)&value);
    }

    public void Dispose() => _queues.ForEach(q => q.Dispose());
}
