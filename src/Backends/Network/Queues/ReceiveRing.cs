using System;
using Ryokan.Backends.Network.Packets;
using Ryokan.Backends.Rings;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Grants;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Network.Queues;

/// <summary>
/// Copies frames into the buffers that a front end offers in its receive ring
/// (xen/include/public/io/netif.h). Responses stand in the order of the requests; the extra info of a frame
/// to be segmented takes a slot of its own after the first.
/// </summary>
internal sealed class ReceiveRing(GuestAccess guest, BackRing ring)
{
    /// <summary>A frame of 64 KiB and its extra info.</summary>
    public const int MaxSlots = ((64 << 10) + 256 + GuestFrames.PageSize - 1) / GuestFrames.PageSize + 1;

    private readonly NetifRxRequest[] _requests = new NetifRxRequest[MaxSlots];
    private readonly GrantMapping?[] _mappings = new GrantMapping?[MaxSlots];

    /// <summary>Buffers that a frame takes.</summary>
    public static int SlotsFor(in PacketInfo info) =>
        Pages(info.Length) + (info.GsoType != NetifGsoType.None ? 1 : 0);

    private static int Pages(int length) => (length + GuestFrames.PageSize - 1) / GuestFrames.PageSize;

    /// <summary>Delivers a frame; the ring must have <see cref="SlotsFor"/> requests.</summary>
    /// <returns>false: the guest's buffers were no good, and it is told so</returns>
    public bool Deliver(ReadOnlySpan<byte> frame, in PacketInfo info)
    {
        int slots = SlotsFor(info);
        int pages = Pages(info.Length);
        int extraAt = slots > pages ? 1 : 0;
        for (int i = 0; i < slots; i++)
        {
            if (!ring.TryTake(out _requests[i]))
            {
                throw new InvalidOperationException("the receive ring has fewer requests than were promised");
            }
        }
        bool good = true;
        for (int i = 0; i < slots && good; i++)
        {
            // The request whose slot carries the extra info brings a buffer that is not used.
            good = (extraAt == 1 && i == 1)
                || guest.Grants.Map(_requests[i].Gref, readOnly: false, out _mappings[i]) == GrantStatus.Okay;
        }
        if (good)
        {
            Write(frame, info, slots, extraAt);
        }
        else
        {
            Refuse(slots);
        }
        for (int i = 0; i < slots; i++)
        {
            _mappings[i]?.Dispose();
            _mappings[i] = null;
        }
        return good;
    }

    private void Write(ReadOnlySpan<byte> frame, in PacketInfo info, int slots, int extraAt)
    {
        for (int i = 0; i < slots; i++)
        {
            if (extraAt == 1 && i == 1)
            {
                ring.Put(new NetifExtraInfo
                {
                    Type = NetifExtraType.Gso,
                    GsoType = info.GsoType,
                    GsoSize = info.GsoSize,
                });
                continue;
            }
            int n = Math.Min(frame.Length, GuestFrames.PageSize);
            frame[..n].CopyTo(_mappings[i]!.WritableBytes);
            _mappings[i]!.NoteWritten(0, n);
            frame = frame[n..];
            int flags = (frame.IsEmpty ? 0 : NetRxFlags.MoreData) | (i == 0 ? FirstFlags(info) : 0);
            ring.Put(new NetifRxResponse { Id = _requests[i].Id, Flags = (ushort)flags, Status = (short)n });
        }
    }

    private static int FirstFlags(in PacketInfo info) =>
        (info.ChecksumMissing ? NetRxFlags.CsumBlank | NetRxFlags.DataValidated
            : info.ChecksumValid ? NetRxFlags.DataValidated : 0)
        | (info.GsoType != NetifGsoType.None ? NetRxFlags.ExtraInfo : 0);

    private void Refuse(int slots)
    {
        for (int i = 0; i < slots; i++)
        {
            ring.Put(new NetifRxResponse
            {
                Id = _requests[i].Id,
                Flags = i + 1 < slots ? NetRxFlags.MoreData : (ushort)0,
                Status = NetifResult.Error,
            });
        }
    }
}
