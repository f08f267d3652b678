using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace Ryokan.Backends.Tests;

/// <summary>The front end's side of a ring, written from xen/include/public/io/ring.h.</summary>
internal sealed class FrontRing
{
    private readonly ModelGuest _guest;
    private readonly ulong[] _pages;
    private readonly int _slotBytes;
    private uint _produced, _consumed;

    public FrontRing(ModelGuest guest, int pages, int slotBytes)
    {
        _guest = guest;
        _slotBytes = slotBytes;
        _pages = new ulong[pages];
        References = new uint[pages];
        for (int i = 0; i < pages; i++)
        {
            _pages[i] = guest.Page();
            guest.Bytes(_pages[i]).Clear();
            References[i] = guest.Grant(_pages[i]);
        }
        Field(4) = 1;
        Field(12) = 1;
        for (Slots = 1; 64 + Slots * 2 * slotBytes <= pages * 4096; Slots *= 2)
        {
        }
    }

    public uint[] References { get; }

    public int Slots { get; }

    public uint Produced => _produced;

    /// <summary>0 req_prod, 4 req_event, 8 rsp_prod, 12 rsp_event.</summary>
    public ref uint Field(int offset) => ref _guest.Frames.UInt32At(_guest.Frames.IndexOf(_pages[0]), offset);

    public void Put<T>(in T request)
        where T : unmanaged => PutBytes(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in request)));

    public void PutBytes(ReadOnlySpan<byte> request)
    {
        int offset = Offset(_produced++);
        foreach (byte b in request)
        {
            Cell(offset++) = b;
        }
    }

    /// <summary>Shows the requests; true when the back end wants an event.</summary>
    public bool Publish(uint? producer = null)
    {
        uint old = Field(0), now = producer ?? _produced;
        Interlocked.MemoryBarrier();
        Volatile.Write(ref Field(0), now);
        Interlocked.MemoryBarrier();
        return now - Volatile.Read(ref Field(4)) < now - old;
    }

    public bool TryTake<T>(out T response)
        where T : unmanaged
    {
        response = default;
        return TryTakeBytes(MemoryMarshal.AsBytes(new Span<T>(ref response)));
    }

    public bool TryTakeBytes(Span<byte> response)
    {
        if (Volatile.Read(ref Field(8)) == _consumed)
        {
            Volatile.Write(ref Field(12), _consumed + 1);
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref Field(8)) == _consumed)
            {
                return false;
            }
        }
        int offset = Offset(_consumed++);
        foreach (ref byte b in response)
        {
            b = Cell(offset++);
        }
        return true;
    }

    private int Offset(uint index) => 64 + (int)(index % (uint)Slots) * _slotBytes;

    private ref byte Cell(int offset) => ref _guest.Bytes(_pages[offset / 4096])[offset % 4096];
}
