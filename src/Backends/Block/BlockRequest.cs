using System;
using System.Collections.Generic;
using Ryokan.GuestMemory;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.Backends.Block;

/// <summary>
/// One request, copied out of the ring and checked; its guest frames are held from <see cref="TryMap"/> to
/// <see cref="Unmap"/>. Used again and again by its queue.
/// </summary>
internal sealed class BlockRequest
{
    public const int SectorBytes = 512;
    private const int SectorsPerPage = GuestFrames.PageSize / SectorBytes;

    private uint[] _references = new uint[16];
    private long[] _frames = new long[16];
    private (ushort Offset, ushort Length)[] _places = new (ushort, ushort)[16];
    private int _segments;
    private bool _mapped;

    /// <summary>The guest's own number for it, given back in the response.</summary>
    public ulong Id { get; private set; }

    /// <summary>BlkifOp as it stands in the ring.</summary>
    public byte Operation { get; private set; }

    /// <summary>
    /// BlkifOp of what is to be done, repeated in the response: that of an indirect request is read or write.
    /// </summary>
    public byte Action { get; set; }

    /// <summary>First byte on the disk.</summary>
    public ulong Offset { get; private set; }

    /// <summary>Bytes on the disk.</summary>
    public ulong Length { get; private set; }

    /// <summary>BlkifDiscard flags.</summary>
    public byte DiscardFlags { get; set; }

    public bool IsRead => Action == Xen.Abi.BlkifOp.Read;

    public bool HasData => _segments > 0;

    /// <summary>Starts over for another request.</summary>
    public void Begin(ulong id, byte operation)
    {
        (Id, Operation, Action, Offset, Length, _segments) = (id, operation, operation, 0, 0, 0);
        DiscardFlags = 0;
    }

    /// <summary>
    /// Where on the disk it begins, in sectors, and how many sectors it covers beside its segments (discard).
    /// False when that is beyond 2^64 bytes.
    /// </summary>
    public bool TryPlace(ulong sector, ulong sectors = 0)
    {
        const ulong most = ulong.MaxValue / SectorBytes;
        if (sector > most || sectors > most)
        {
            return false;
        }
        (Offset, Length) = (sector * SectorBytes, sectors * SectorBytes);
        return true;
    }

    /// <summary>Adds a part of a granted frame; false when it is none (first past last, past the frame).</summary>
    public bool TryAdd(uint reference, byte firstSector, byte lastSector)
    {
        if (firstSector > lastSector || lastSector >= SectorsPerPage)
        {
            return false;
        }
        if (_segments == _references.Length)
        {
            Array.Resize(ref _references, _segments * 2);
            Array.Resize(ref _frames, _segments * 2);
            Array.Resize(ref _places, _segments * 2);
        }
        int length = (lastSector - firstSector + 1) * SectorBytes;
        _references[_segments] = reference;
        _places[_segments++] = ((ushort)(firstSector * SectorBytes), (ushort)length);
        Length += (ulong)length;
        return true;
    }

    /// <summary>Ends before that byte of the disk.</summary>
    public bool FitsInto(ulong diskBytes) => Offset <= diskBytes && Length <= diskBytes - Offset;

    /// <summary>Holds its frames; false when the guest did not grant one of them (for writing, if it is a read).</summary>
    public bool TryMap(GuestAccess guest)
    {
        _mapped = guest.Grants.MapAll(_references.AsSpan(0, _segments), readOnly: !IsRead, _frames)
            == Xen.Abi.GrantStatus.Okay;
        return _mapped;
    }

    /// <summary>Adds its memory to a list; neighbours in memory become one piece.</summary>
    public void AddVectors(GuestFrames frames, List<IoVector> vectors)
    {
        for (int i = 0; i < _segments; i++)
        {
            IoVector next = frames.VectorAt(_frames[i], _places[i].Offset, _places[i].Length);
            if (vectors.Count > 0 && vectors[^1] is var last && last.Address + (nint)last.Length == next.Address)
            {
                vectors[^1] = new IoVector(last.Address, last.Length + next.Length);
            }
            else
            {
                vectors.Add(next);
            }
        }
    }

    /// <summary>Lets go of its frames; marks them as written when it was a read.</summary>
    public void Unmap(GuestAccess guest)
    {
        if (!_mapped)
        {
            return;
        }
        _mapped = false;
        if (IsRead)
        {
            for (int i = 0; i < _segments; i++)
            {
                guest.Frames.NoteWritten(_frames[i], _places[i].Offset, _places[i].Length);
            }
        }
        guest.Grants.ReleaseAll(_references.AsSpan(0, _segments), readOnly: !IsRead);
    }
}
