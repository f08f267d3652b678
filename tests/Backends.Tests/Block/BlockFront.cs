using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Backends.Block;
using Ryokan.Storage;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Block;

/// <summary>One segment of a request: sectors first to last of a granted frame.</summary>
internal readonly record struct Segment(uint Reference, byte First, byte Last);

/// <summary>
/// A block front end, written from xen/include/public/io/blkif.h, that can also send what no driver would.
/// </summary>
internal sealed class BlockFront : IDisposable
{
    public const string Type = "vbd";
    public const int Id = 51712;

    private readonly Dictionary<ulong, short> _answers = [];

    /// <summary>What each response must repeat.</summary>
    private readonly Dictionary<ulong, byte> _operations = [];
    private readonly bool _is32Bit;
    private ulong _nextId = 1;

    public ModelGuest Guest { get; } = new();

    public BlockDevice Device { get; }

    public SpaceGate Space { get; }

    public List<string> OutOfSpace { get; } = [];

    public FrontRing Ring { get; private set; } = null!;

    public uint Port { get; private set; }

    public BlockFront(
        IDisk? disk, int pages = 1, bool is32Bit = false, bool readOnly = false, bool discard = true,
        bool cdRom = false)
    {
        _is32Bit = is32Bit;
        Space = new SpaceGate(line =>
        {
            lock (OutOfSpace)
            {
                OutOfSpace.Add(line);
            }
        });
        Device = new BlockDevice(Guest.Access, new BlockDeviceOptions
        {
            Name = "xvda", VirtualDevice = Id, IsReadOnly = readOnly, Discard = discard, IsCdRom = cdRom,
        }, disk, Space, Guest.Log.Add);
        Assert.True(Guest.Bus.Add(Device));
        Connect(pages);
    }

    public void Connect(int pages)
    {
        Guest.WaitForBackend(Type, Id, XenbusState.InitWait);
        Ring = new FrontRing(Guest, pages, _is32Bit ? 108 : 112);
        Port = Guest.Port();
        if (pages > 1)
        {
            Guest.WriteFront(Type, Id, "ring-page-order", int.Log2(pages));
        }
        for (int i = 0; i < pages; i++)
        {
            Guest.WriteFront(Type, Id, pages == 1 ? "ring-ref" : $"ring-ref{i}", Ring.References[i]);
        }
        Guest.WriteFront(Type, Id, "event-channel", Port);
        Guest.WriteFront(Type, Id, "protocol", _is32Bit ? IoProtocol.X8632 : IoProtocol.X8664);
        Guest.SetState(Type, Id, XenbusState.Initialised);
        Guest.WaitForBackend(Type, Id, XenbusState.Connected);
    }

    /// <summary>A granted page with contents.</summary>
    public (uint Reference, ulong Mfn) Page(byte fill = 0, bool readOnly = false)
    {
        ulong mfn = Guest.Page();
        Guest.Bytes(mfn).Fill(fill);
        return (Guest.Grant(mfn, readOnly), mfn);
    }

    /// <summary>Puts a direct request into the ring without showing it; returns its id.</summary>
    public ulong Put(byte operation, ulong sector, params ReadOnlySpan<Segment> segments)
    {
        Span<byte> slot = Slot(operation, sector, out ulong id, out Span<byte> tail);
        slot[1] = (byte)segments.Length;
        if (operation == BlkifOp.Indirect)
        {
            // Taken for the operation of its segments.
            _operations[id] = slot[1];
        }
        for (int i = 0; i < Math.Min(segments.Length, 11); i++)
        {
            Write(tail[(i * 8)..], segments[i]);
        }
        PutRaw(slot);
        return id;
    }

    public ulong PutDiscard(ulong sector, ulong sectors, byte flags = 0)
    {
        Span<byte> slot = Slot(BlkifOp.Discard, sector, out ulong id, out Span<byte> tail);
        slot[1] = flags;
        BinaryPrimitives.WriteUInt64LittleEndian(tail, sectors);
        PutRaw(slot);
        return id;
    }

    /// <param name="count">segments that it claims to have; null: the truth</param>
    public ulong PutIndirect(byte operation, ulong sector, Segment[] segments, int? count = null)
    {
        Span<byte> slot = Slot(BlkifOp.Indirect, sector, out ulong id, out Span<byte> tail);
        slot[1] = operation;
        _operations[id] = operation;
        BinaryPrimitives.WriteUInt16LittleEndian(slot[2..], (ushort)(count ?? segments.Length));
        for (int page = 0; page * 512 < segments.Length; page++)
        {
            (uint reference, ulong mfn) = Page();
            Segment[] part = [.. segments.Skip(page * 512).Take(512)];
            for (int i = 0; i < part.Length; i++)
            {
                Write(Guest.Bytes(mfn)[(i * 8)..], part[i]);
            }
            BinaryPrimitives.WriteUInt32LittleEndian(tail[(4 + page * 4)..], reference);
        }
        PutRaw(slot);
        return id;
    }

    private static void Write(Span<byte> at, Segment segment)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(at, segment.Reference);
        at[4] = segment.First;
        at[5] = segment.Last;
    }

    private Span<byte> Slot(byte operation, ulong sector, out ulong id, out Span<byte> tail)
    {
        Span<byte> slot = new byte[_is32Bit ? 108 : 112];
        int at = _is32Bit ? 4 : 8;
        id = _nextId++;
        slot[0] = operation;
        _operations[id] = operation;
        BinaryPrimitives.WriteUInt64LittleEndian(slot[at..], id);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[(at + 8)..], sector);
        tail = slot[(at + 16)..];
        return slot;
    }

    public void PutRaw(ReadOnlySpan<byte> slot) => Ring.PutBytes(slot);

    public void Publish(uint? producer = null)
    {
        if (Ring.Publish(producer))
        {
            Guest.Send(Port);
        }
    }

    /// <summary>The status of a request, when it has come.</summary>
    public bool TryAnswer(ulong id, out short status)
    {
        Span<byte> response = stackalloc byte[_is32Bit ? 12 : 16];
        while (Ring.TryTakeBytes(response))
        {
            Assert.Equal(_operations[BinaryPrimitives.ReadUInt64LittleEndian(response)], response[8]);
            Assert.True(_answers.TryAdd(BinaryPrimitives.ReadUInt64LittleEndian(response),
                BinaryPrimitives.ReadInt16LittleEndian(response[10..])), "answered twice");
        }
        return _answers.TryGetValue(id, out status);
    }

    public short Answer(ulong id)
    {
        short status = 0;
        ModelGuest.WaitFor(() => TryAnswer(id, out status), () => $"request {id} is not answered");
        return status;
    }

    /// <summary>Puts, shows and waits.</summary>
    public short Do(byte operation, ulong sector, params ReadOnlySpan<Segment> segments)
    {
        ulong id = Put(operation, sector, segments);
        Publish();
        return Answer(id);
    }

    /// <summary>Nothing of the guest's but the rings is held, and the ring still works.</summary>
    public void MustBeWell(params ReadOnlySpan<uint> released)
    {
        foreach (uint reference in released)
        {
            Assert.True(Guest.Revoke(reference), $"grant {reference} is still held");
        }
        (uint good, _) = Page();
        Assert.Equal(BlkifResult.Okay, Do(BlkifOp.Read, 0, new Segment(good, 0, 7)));
        Assert.True(Guest.Revoke(good));
    }

    public void Dispose() => Guest.Dispose();
}
