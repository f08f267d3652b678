using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ryokan.Backends.Rings;
using Ryokan.Hypervisor.Grants;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Block;

/// <summary>
/// How a front end lays out requests and responses (xen/include/public/io/blkif.h): the same fields, but 64-bit
/// numbers are aligned to 8 bytes in a 64-bit guest and to 4 in a 32-bit one, from the id on.
/// </summary>
internal sealed class BlockProtocol
{
    /// <summary>Segments of a request with pages of segments: what we offer, and Linux's own limit.</summary>
    public const int MaxIndirectSegments = 256;

    private const int SegmentBytes = 8, LargestSlot = 112;
    private const int SegmentsPerPage = 4096 / SegmentBytes;

    public static readonly BlockProtocol X8664 = new(112, 8, 16);
    public static readonly BlockProtocol X8632 = new(108, 4, 12);

    private readonly int _idAt;
    private readonly int _responseBytes;

    private BlockProtocol(int slotBytes, int idAt, int responseBytes) =>
        (SlotBytes, _idAt, _responseBytes) = (slotBytes, idAt, responseBytes);

    /// <summary>Size of a ring entry.</summary>
    public int SlotBytes { get; }

    /// <summary>By the front end's "protocol" node; absent means native.</summary>
    /// <exception cref="FrontendException">unknown</exception>
    public static BlockProtocol Named(string? name) => name switch
    {
        null or "" or IoProtocol.X8664 => X8664,
        IoProtocol.X8632 => X8632,
        _ => throw new FrontendException($"protocol '{Xenbus.DeviceNodes.Shown(name)}' is unknown"),
    };

    /// <summary>
    /// Takes the next request off the ring; false when there is none. <paramref name="valid"/> tells whether it
    /// makes sense by itself; whether it fits the disk is not looked at.
    /// </summary>
    /// <exception cref="FrontendException">the producer index ran past the ring</exception>
    public bool TryTake(BackRing ring, GuestAccess guest, BlockRequest request, out bool valid)
    {
        Span<byte> slot = stackalloc byte[LargestSlot];
        slot = slot[..SlotBytes];
        valid = false;
        if (!ring.TryTake(slot))
        {
            return false;
        }
        request.Begin(U64(slot, _idAt), slot[0]);
        ulong sector = U64(slot, _idAt + 8);
        ReadOnlySpan<byte> tail = slot[(_idAt + 16)..];
        switch (request.Operation)
        {
            case BlkifOp.Discard:
                request.DiscardFlags = slot[1];
                valid = request.TryPlace(sector, U64(tail, 0));
                break;
            case BlkifOp.Indirect:
                request.Action = slot[1];
                valid = request.TryPlace(sector)
                    && request.Action is BlkifOp.Read or BlkifOp.Write
                    && TryIndirect(guest, request, U16(slot, 2), tail[4..]);
                break;
            default:
                // A flush without data names any sector.
                valid = request.TryPlace(slot[1] == 0 ? 0 : sector) && TryDirect(request, slot[1], tail);
                break;
        }
        return true;
    }

    private static bool TryDirect(BlockRequest request, byte count, ReadOnlySpan<byte> segments) =>
        count <= BlkifLimits.MaxSegmentsPerRequest && TrySegments(request, segments[..(count * SegmentBytes)]);

    private static bool TrySegments(BlockRequest request, ReadOnlySpan<byte> segments)
    {
        for (; !segments.IsEmpty; segments = segments[SegmentBytes..])
        {
            if (!request.TryAdd(U32(segments, 0), segments[4], segments[5]))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Copies the segments out of the guest's pages first: it may change them while we look.</summary>
    private static bool TryIndirect(GuestAccess guest, BlockRequest request, int count, ReadOnlySpan<byte> references)
    {
        if (count is 0 or > MaxIndirectSegments)
        {
            return false;
        }
        Span<byte> copy = stackalloc byte[MaxIndirectSegments * SegmentBytes];
        copy = copy[..(count * SegmentBytes)];
        for (int page = 0; page * SegmentsPerPage < count; page++)
        {
            uint reference = U32(references, page * sizeof(uint));
            if (guest.Grants.Map(reference, readOnly: true, out GrantMapping? mapping) != GrantStatus.Okay)
            {
                return false;
            }
            using (mapping)
            {
                Span<byte> part = copy[(page * SegmentsPerPage * SegmentBytes)..];
                mapping!.Bytes[..Math.Min(part.Length, 4096)].CopyTo(part);
            }
        }
        return TrySegments(request, copy);
    }

    /// <summary>Puts the answer to a request into the ring.</summary>
    public void Put(BackRing ring, BlockRequest request, short status)
    {
        BlkifResponse response = new() { Id = request.Id, Operation = request.Action, Status = status };
        ring.Put(MemoryMarshal.AsBytes(new ReadOnlySpan<BlkifResponse>(in response))[.._responseBytes]);
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
}
