using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ryokan.Backends.Network.Packets;
using Ryokan.Backends.Rings;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Grants;
using Ryokan.Linux.Interop;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Network.Queues;

/// <summary>What the next requests of a transmit ring were.</summary>
internal enum TransmitResult
{
    /// <summary>There are none.</summary>
    None,

    /// <summary>
    /// No frame, but answered already: a change of the multicast filter, or one not to be sent.
    /// </summary>
    Handled,

    /// <summary>A frame; <see cref="TransmitRing.Complete"/> must follow.</summary>
    Packet,
}

/// <summary>
/// Takes frames out of a ring of transmit requests (xen/include/public/io/netif.h). A frame is a first
/// request, the extra infos that it announces, and more requests while each says so. The frame's first bytes
/// are copied before anything in them is looked at; the rest stays in the guest's frames, and nothing of it
/// is believed.
/// </summary>
internal sealed class TransmitRing(GuestAccess guest, BackRing ring, MulticastFilter multicast) : IDisposable
{
    /// <summary>
    /// Most requests of one frame. Front ends may use 18 (XEN_NETIF_NR_SLOTS_MIN); some old ones used a few
    /// more.
    /// </summary>
    public const int MaxSlots = 20;

    /// <summary>Enough for all headers that are looked at.</summary>
    private const int HeadBytes = 256;

    private readonly NetifTxRequest[] _requests = new NetifTxRequest[MaxSlots];
    private readonly GrantMapping?[] _mappings = new GrantMapping?[MaxSlots];
    private readonly HostBuffer _head = new(HeadBytes);
    private NetifExtraInfo _gso, _multicastChange;
    private int _slots, _extras, _mapped, _headLength;

    /// <summary>Pieces of the frame that <see cref="Take"/> found.</summary>
    public GatherList Frame { get; } = new(MaxSlots + 2);

    /// <summary>The copied first bytes of the frame; may be changed.</summary>
    public Span<byte> Head => _head.Span[.._headLength];

    /// <summary>What the guest says about the frame; checksum positions are not set.</summary>
    public PacketInfo Info { get; private set; }

    /// <summary>Takes the next frame.</summary>
    /// <exception cref="FrontendException">the requests make no sense</exception>
    public TransmitResult Take()
    {
        _slots = _extras = 0;
        _gso = _multicastChange = default;
        if (!ring.TryTake(out _requests[0]))
        {
            return TransmitResult.None;
        }
        _slots = 1;
        if ((_requests[0].Flags & NetTxFlags.ExtraInfo) != 0)
        {
            TakeExtras();
        }
        if (_multicastChange.Type != NetifExtraType.None)
        {
            Complete(ChangeMulticast() ? NetifResult.Okay : NetifResult.Error);
            return TransmitResult.Handled;
        }
        TakeRest();
        if (!TryFindSizes() || !TryMap())
        {
            Complete(NetifResult.Error);
            return TransmitResult.Handled;
        }
        Describe();
        return TransmitResult.Packet;
    }

    private void TakeExtras()
    {
        NetifExtraInfo extra;
        Span<byte> slot = stackalloc byte[Unsafe.SizeOf<NetifExtraInfo>()];
        do
        {
            if (!ring.TryTake(slot))
            {
                throw new FrontendException("an extra info is announced and missing");
            }
            extra = MemoryMarshal.Read<NetifExtraInfo>(slot);
            _extras++;
            switch (extra.Type)
            {
                case NetifExtraType.Gso when _gso.Type == NetifExtraType.None:
                    _gso = CheckGso(extra);
                    break;
                case NetifExtraType.McastAdd or NetifExtraType.McastDel
                    when _multicastChange.Type == NetifExtraType.None:
                    _multicastChange = extra;
                    break;
                case NetifExtraType.Hash when _extras < NetifExtraType.Max:
                    break;
                default:
                    throw new FrontendException($"extra info of type {extra.Type}");
            }
        }
        while ((extra.Flags & NetifExtraFlags.More) != 0);
    }

    private static NetifExtraInfo CheckGso(NetifExtraInfo extra) =>
        extra.GsoSize == 0 || extra.GsoType is not (NetifGsoType.Tcpv4 or NetifGsoType.Tcpv6)
            ? throw new FrontendException($"segments of type {extra.GsoType} and {extra.GsoSize} bytes")
            : extra;

    private bool ChangeMulticast()
    {
        NetifExtraInfo change = _multicastChange;
        Span<byte> address = change.McastAddr;
        if (change.Type == NetifExtraType.McastAdd)
        {
            return multicast.Add(address);
        }
        multicast.Remove(address);
        return true;
    }

    private void TakeRest()
    {
        while ((_requests[_slots - 1].Flags & NetTxFlags.MoreData) != 0)
        {
            if (_slots == MaxSlots)
            {
                throw new FrontendException($"a frame of more than {MaxSlots} requests");
            }
            if (!ring.TryTake(out _requests[_slots]))
            {
                throw new FrontendException("more data is announced and missing");
            }
            _slots++;
        }
    }

    /// <summary>
    /// The first request tells the size of the whole frame; what the others do not have is its own.
    /// </summary>
    private bool TryFindSizes()
    {
        int total = _requests[0].Size, first = total;
        for (int i = 1; i < _slots; i++)
        {
            first -= _requests[i].Size;
        }
        if (first < 0 || total < PacketHeaders.EthernetBytes)
        {
            return false;
        }
        _requests[0].Size = (ushort)first;
        for (int i = 0; i < _slots; i++)
        {
            if (_requests[i].Offset + _requests[i].Size > GuestFrames.PageSize)
            {
                throw new FrontendException(
                    $"{_requests[i].Size} bytes at {_requests[i].Offset} cross the end of a page");
            }
        }
        Info = new PacketInfo { Length = total };
        return true;
    }

    private bool TryMap()
    {
        Frame.Clear();
        _headLength = Math.Min(Info.Length, HeadBytes);
        Frame.Add(Head);
        int copied = 0;
        for (_mapped = 0; _mapped < _slots; _mapped++)
        {
            ref NetifTxRequest request = ref _requests[_mapped];
            short status = guest.Grants.Map(request.Gref, readOnly: true, out _mappings[_mapped]);
            if (status != GrantStatus.Okay)
            {
                return false;
            }
            ReadOnlySpan<byte> bytes = _mappings[_mapped]!.Bytes.Slice(request.Offset, request.Size);
            int n = Math.Min(bytes.Length, _headLength - copied);
            bytes[..n].CopyTo(Head[copied..]);
            copied += n;
            if (n < bytes.Length)
            {
                Frame.Add(bytes[n..]);
            }
        }
        return true;
    }

    private void Describe()
    {
        ushort flags = _requests[0].Flags;
        PacketInfo info = Info;
        info.ChecksumMissing = (flags & NetTxFlags.CsumBlank) != 0 || _gso.Type != NetifExtraType.None;
        info.ChecksumValid = (flags & NetTxFlags.DataValidated) != 0;
        info.GsoType = _gso.GsoType;
        info.GsoSize = _gso.GsoSize;
        Info = info;
    }

    /// <summary>Lets go of the frame and answers its requests.</summary>
    public void Complete(short status)
    {
        for (int i = 0; i < _mapped; i++)
        {
            _mappings[i]!.Dispose();
            _mappings[i] = null;
        }
        _mapped = 0;
        for (int i = 0; i < _slots; i++)
        {
            ring.Put(new NetifTxResponse { Id = _requests[i].Id, Status = status });
            for (int extra = 0; i == 0 && extra < _extras; extra++)
            {
                ring.Put(new NetifTxResponse { Status = NetifResult.Null });
            }
        }
    }

    /// <summary>Lets go of a frame that was not completed.</summary>
    public void Dispose()
    {
        for (int i = 0; i < _mapped; i++)
        {
            _mappings[i]?.Dispose();
        }
        _head.Dispose();
        Frame.Dispose();
    }
}
