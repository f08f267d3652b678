using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Grants;

/// <summary>
/// The grant table of one domain, version 1 (xen/grant_table.h): entries in frames that the guest maps,
/// followed by the monitor's back ends. Hypercall operations give the status that Xen writes into the
/// request (<see cref="GrantStatus"/>) unless said otherwise. Any thread.
/// <para>
/// The guest takes a grant back by compare-and-swap of flags from "not in use" to 0, so we set reading and
/// writing by compare-and-swap of the whole entry head: whoever comes second sees the other. What an
/// entry names is read once, when its first user comes, and kept until the last one goes.
/// </para>
/// </summary>
public sealed class GrantTable
{
    /// <summary>Most frames of a table (Xen's default is 64 too).</summary>
    public const int DefaultMaxFrames = 64;

    /// <summary>Entries in one frame.</summary>
    public const int EntriesPerFrame = GuestFrames.PageSize / EntrySize;

    private const int EntrySize = 8;
    private const int FrameOffset = 4;

    /// <summary>
    /// Tries to mark an entry that the guest changes at the same time, before it is refused.
    /// </summary>
    private const int MaxMarkTries = 5;

    private readonly Lock _lock = new();
    private readonly ushort _domain;
    private readonly List<ulong> _mfns = [];
    private readonly Dictionary<uint, Pin> _pins = [];

    /// <summary>An entry in use: whose, the frame it named at first, and by how many.</summary>
    private sealed class Pin
    {
        public ushort Domain;
        public long FrameIndex;
        public int Readers, Writers;
    }

    /// <summary>Pins come and go with every request of a disk: they are used again.</summary>
    private readonly Stack<Pin> _unusedPins = [];

    internal GuestFrames Frames { get; }

    public int MaxFrames { get; }

    /// <summary>A table of one frame, all entries invalid.</summary>
    /// <exception cref="InvalidOperationException">no special frame is left (our error)</exception>
    public GrantTable(GuestFrames frames, ushort domain, int maxFrames = DefaultMaxFrames)
    {
        Frames = frames;
        MaxFrames = maxFrames;
        _domain = domain;
        if (!TryGrow(1))
        {
            throw new InvalidOperationException("no special frame is left for the grant table");
        }
    }

    /// <summary>Frames that exist now.</summary>
    public int FrameCount
    {
        get
        {
            lock (_lock)
            {
                return _mfns.Count;
            }
        }
    }

    /// <summary>
    /// Entries that domain 0 may use from the start: what the domain builder leaves in the table.
    /// </summary>
    public void SetReserved(ulong consoleMfn, ulong xenStoreMfn)
    {
        SetEntry(GrantReserved.ReservedConsole, consoleMfn);
        SetEntry(GrantReserved.ReservedXenstore, xenStoreMfn);
    }

    private void SetEntry(uint reference, ulong mfn)
    {
        GrantEntryV1 entry = new() { Flags = GrantFlags.PermitAccess, Domid = 0, Frame = (uint)mfn };
        long index = Frames.IndexOf(_mfns[0]);
        int offset = (int)reference * EntrySize;
        MemoryMarshal.Write(Frames.SpanAt(index)[offset..], entry);
        Frames.NoteWritten(index, offset, EntrySize);
    }

    /// <summary>
    /// GNTTABOP_setup_table: grows the table to that many frames; then <see cref="FrameMfn"/>.
    /// </summary>
    public short SetupTable(ushort dom, uint frames)
    {
        short status = CheckOwn(dom);
        if (status != GrantStatus.Okay)
        {
            return status;
        }
        return frames <= (uint)MaxFrames && TryGrow((int)frames)
            ? GrantStatus.Okay : GrantStatus.GeneralError;
    }

    /// <summary>
    /// mfn of a frame of the table; also grows it (XENMEM_add_to_physmap). Null: beyond the limit.
    /// </summary>
    public ulong? FrameMfn(uint frame)
    {
        if (frame >= (uint)MaxFrames || !TryGrow((int)frame + 1))
        {
            return null;
        }
        lock (_lock)
        {
            return _mfns[(int)frame];
        }
    }

    /// <summary>GNTTABOP_query_size.</summary>
    public short QuerySize(ushort dom, out uint frames, out uint maxFrames)
    {
        frames = (uint)FrameCount;
        maxFrames = (uint)MaxFrames;
        return CheckOwn(dom);
    }

    /// <summary>
    /// GNTTABOP_set_version: the hypercall's result. Only version 1 is served: -ENOSYS for 2, -EINVAL else;
    /// <paramref name="version"/> becomes the version in force.
    /// </summary>
    public static long SetVersion(ref uint version)
    {
        uint wanted = version;
        version = 1;
        return wanted switch
        {
            1 => 0,
            2 => -Errno.ENOSYS,
            _ => -Errno.EINVAL,
        };
    }

    /// <summary>GNTTABOP_get_version.</summary>
    public short GetVersion(ushort dom, out uint version)
    {
        version = 1;
        return CheckOwn(dom);
    }

    /// <summary>GNTTABOP_get_status_frames: a table of version 1 has none.</summary>
    public short GetStatusFrames(ushort dom, uint frames)
    {
        short status = CheckOwn(dom);
        return status == GrantStatus.Okay && frames > 0 ? GrantStatus.GeneralError : status;
    }

    /// <summary>
    /// GNTTABOP_map_grant_ref by the guest: it has nobody's grants to map, as it is nobody's back end.
    /// </summary>
    public short MapForGuest(ushort dom) => CheckOwn(dom) == GrantStatus.Okay
        ? GrantStatus.GeneralError : GrantStatus.BadDomain;

    /// <summary>
    /// Takes a grant for a back end. <paramref name="user"/> is the domain it stands for; the grant must be
    /// for that one and, unless <paramref name="readOnly"/>, allow writing.
    /// </summary>
    /// <returns>okay, bad_gntref, permission_denied, bad_page, eagain (the guest keeps changing the
    /// entry)</returns>
    public short Map(uint reference, bool readOnly, out GrantMapping? mapping, ushort user = 0)
    {
        lock (_lock)
        {
            short status = AddUser(reference, readOnly, user, out Pin? pin);
            mapping = pin == null ? null : new GrantMapping(this, reference, pin.FrameIndex, readOnly);
            return status;
        }
    }

    /// <summary>
    /// Takes several grants for domain 0's back end at once, all or none, without an object for each: what a
    /// request names. Give them back with <see cref="ReleaseAll"/>.
    /// </summary>
    /// <param name="references">the grants; the same one may stand there more than once</param>
    /// <param name="readOnly">what the back end will not write to</param>
    /// <param name="frames">gets the dense index of each frame, for the cells of GuestFrames</param>
    /// <returns>okay, or the status of the first that cannot be mapped (see <see cref="Map"/>)</returns>
    public short MapAll(ReadOnlySpan<uint> references, bool readOnly, Span<long> frames)
    {
        lock (_lock)
        {
            for (int i = 0; i < references.Length; i++)
            {
                short status = AddUser(references[i], readOnly, user: 0, out Pin? pin);
                if (status != GrantStatus.Okay)
                {
                    for (int j = 0; j < i; j++)
                    {
                        RemoveUser(references[j], readOnly);
                    }
                    return status;
                }
                frames[i] = pin!.FrameIndex;
            }
            return GrantStatus.Okay;
        }
    }

    /// <summary>Gives back what <see cref="MapAll"/> took with the same arguments.</summary>
    public void ReleaseAll(ReadOnlySpan<uint> references, bool readOnly)
    {
        lock (_lock)
        {
            foreach (uint reference in references)
            {
                RemoveUser(reference, readOnly);
            }
        }
    }

    internal void Release(GrantMapping mapping)
    {
        lock (_lock)
        {
            RemoveUser(mapping.Reference, mapping.IsReadOnly);
        }
    }

    /// <summary>GNTTABOP_copy by the guest, between frames of its own; at most one page.</summary>
    public short Copy(in GnttabCopy request)
    {
        if (request.Source.Offset + request.Len > GuestFrames.PageSize
            || request.Dest.Offset + request.Len > GuestFrames.PageSize)
        {
            return GrantStatus.BadCopyArg;
        }
        lock (_lock)
        {
            bool sourceIsRef = (request.Flags & GrantCopyFlags.SourceGref) != 0;
            short status = CopyEnd(request.Source, sourceIsRef, readOnly: true, out long from);
            if (status != GrantStatus.Okay)
            {
                return status;
            }
            bool destIsRef = (request.Flags & GrantCopyFlags.DestGref) != 0;
            status = CopyEnd(request.Dest, destIsRef, readOnly: false, out long to);
            if (status == GrantStatus.Okay)
            {
                Frames.SpanAt(from).Slice(request.Source.Offset, request.Len)
                    .CopyTo(Frames.SpanAt(to)[request.Dest.Offset..]);
                Frames.NoteWritten(to, request.Dest.Offset, request.Len);
                if (destIsRef)
                {
                    RemoveUser(request.Dest.Ref, readOnly: false);
                }
            }
            if (sourceIsRef)
            {
                RemoveUser(request.Source.Ref, readOnly: true);
            }
            return status;
        }
    }

    private short CopyEnd(in GnttabCopyPtr end, bool isReference, bool readOnly, out long index)
    {
        index = -1;
        if (end.Domid != Domid.Self && end.Domid != _domain)
        {
            return end.Domid == 0 ? GrantStatus.PermissionDenied : GrantStatus.BadDomain;
        }
        if (isReference)
        {
            short status = AddUser(end.Ref, readOnly, _domain, out Pin? pin);
            index = pin?.FrameIndex ?? -1;
            return status;
        }
        index = UsableIndexOf(end.Gmfn);
        return index >= 0 ? GrantStatus.Okay : GrantStatus.BadPage;
    }

    /// <summary>
    /// Clears every entry (soft reset). Back ends keep the frames they hold until they let go.
    /// </summary>
    public void SoftReset()
    {
        lock (_lock)
        {
            foreach (ulong mfn in _mfns)
            {
                long index = Frames.IndexOf(mfn);
                Frames.SpanAt(index).Clear();
                Frames.NoteWritten(index, 0, GuestFrames.PageSize);
            }
        }
    }

    private bool TryGrow(int count)
    {
        lock (_lock)
        {
            while (_mfns.Count < count)
            {
                if (Frames.AllocateSpecial() is not { } mfn)
                {
                    return false;
                }
                _mfns.Add(mfn);
            }
            return true;
        }
    }

    private short CheckOwn(ushort dom) => dom == Domid.Self || dom == _domain ? GrantStatus.Okay
        : dom == 0 ? GrantStatus.PermissionDenied : GrantStatus.BadDomain;

    private long UsableIndexOf(ulong mfn)
    {
        long index = Frames.IndexOf(mfn);
        return index >= 0 && !Frames.Has(index, FrameFlags.Absent) ? index : -1;
    }

    private bool TryEntry(uint reference, out long index, out int offset)
    {
        bool valid = reference < (uint)(_mfns.Count * EntriesPerFrame);
        index = valid ? Frames.IndexOf(_mfns[(int)(reference / EntriesPerFrame)]) : -1;
        offset = (int)(reference % EntriesPerFrame) * EntrySize;
        return valid;
    }

    /// <summary>Marks the entry as read, and as written unless read-only.</summary>
    private short AddUser(uint reference, bool readOnly, ushort user, out Pin? pin)
    {
        pin = null;
        if (!TryEntry(reference, out long index, out int offset))
        {
            return GrantStatus.BadGntref;
        }
        short status = Mark(index, offset, readOnly, user);
        if (status != GrantStatus.Okay)
        {
            return status;
        }
        if (!_pins.TryGetValue(reference, out Pin? found))
        {
            // Only now: while the entry is marked the guest may not change what it names.
            uint mfn = Volatile.Read(ref Frames.UInt32At(index, offset + FrameOffset));
            found = _unusedPins.TryPop(out Pin? unused) ? unused : new Pin();
            (found.Domain, found.FrameIndex) = (user, UsableIndexOf(mfn));
            _pins.Add(reference, found);
        }
        found.Readers += readOnly ? 1 : 0;
        found.Writers += readOnly ? 0 : 1;
        if (found.FrameIndex < 0 || found.Domain != user)
        {
            status = found.FrameIndex < 0 ? GrantStatus.BadPage : GrantStatus.BadGntref;
            RemoveUser(reference, readOnly);
            return status;
        }
        pin = found;
        return GrantStatus.Okay;
    }

    private short Mark(long index, int offset, bool readOnly, ushort user)
    {
        ref uint head = ref Frames.UInt32At(index, offset);
        uint mark = readOnly ? GrantFlags.Reading : (uint)(GrantFlags.Reading | GrantFlags.Writing);
        uint seen = Volatile.Read(ref head);
        for (int i = 0; i < MaxMarkTries; i++)
        {
            ushort flags = (ushort)seen;
            if ((flags & GrantFlags.TypeMask) != GrantFlags.PermitAccess || seen >> 16 != user)
            {
                return GrantStatus.BadGntref;
            }
            if (!readOnly && (flags & GrantFlags.Readonly) != 0)
            {
                return GrantStatus.PermissionDenied;
            }
            uint old = Interlocked.CompareExchange(ref head, seen | mark, seen);
            if (old == seen)
            {
                Frames.NoteWritten(index, offset, sizeof(uint));
                return GrantStatus.Okay;
            }
            seen = old;
        }
        return GrantStatus.Eagain;
    }

    private void RemoveUser(uint reference, bool readOnly)
    {
        Pin pin = _pins[reference];
        pin.Readers -= readOnly ? 1 : 0;
        pin.Writers -= readOnly ? 0 : 1;
        uint clear = 0;
        if (pin.Writers == 0)
        {
            clear |= GrantFlags.Writing;
            if (pin.Readers == 0)
            {
                clear |= GrantFlags.Reading;
                _pins.Remove(reference);
                _unusedPins.Push(pin);
            }
        }
        if (clear != 0 && TryEntry(reference, out long index, out int offset))
        {
            Interlocked.And(ref Frames.UInt32At(index, offset), ~clear);
            Frames.NoteWritten(index, offset, sizeof(uint));
        }
    }
}
