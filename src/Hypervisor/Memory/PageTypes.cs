using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Memory;

/// <summary>What a machine frame is in use as.</summary>
internal enum PageType : byte
{
    None = 0, L1 = 1, L2 = 2, L3 = 3, L4 = 4, Descriptors = 5,
}

/// <summary>
/// Counts, per frame, the references that make it a page table (or a descriptor page): present entries of
/// a higher table in use, pins, and loaded roots. The first reference walks the table and takes references
/// below it, the last gives them back; while the count is not zero the frame carries
/// <see cref="FrameFlags.PageTable"/>, which lets the kernel's plain stores through read-only mappings.
///
/// Safety does not rest on this (the software TLB checks every frame number); the guest's own expectations
/// do: the errors of PIN and UNPIN, and that a read-only page that is *not* a table faults when written
/// (copy on write). Counts saturate at zero, so a guest that rewrites L2-L4 tables behind our back with plain
/// stores confuses nobody but itself.
///
/// Word per frame: bits 31:29 type, bit 28 pinned, bit 27 being walked, bits 26:0 count. A count above zero
/// goes up and down with compare-exchange; the steps 0 -> 1 and 1 -> 0 and all changes of tables above L1
/// happen under the gate.
/// </summary>
internal sealed class PageTypes
{
    private const uint CountMask = (1u << 27) - 1;
    private const uint Walking = 1u << 27;
    private const uint Pinned = 1u << 28;
    private const int TypeShift = 29;

    private const int FirstHoleSlot = 256;
    private const int LastHoleSlot = 271;

    private readonly GuestFrames _frames;
    private readonly uint[] _words;
    private readonly Lock _gate = new();

    public PageTypes(GuestFrames frames)
    {
        _frames = frames;
        _words = new uint[frames.TotalFrames];
    }

    public PageType TypeOf(long index)
    {
        uint word = Volatile.Read(ref _words[index]);
        return (word & CountMask) != 0 ? (PageType)(word >> TypeShift) : PageType.None;
    }

    /// <summary>Takes a reference to a frame as a table of the type; false when it is in use as another or not ours.</summary>
    public bool TryGet(ulong mfn, PageType type)
    {
        long index = _frames.IndexOf(mfn);
        if (index < 0)
        {
            return false;
        }
        if (TryIncrement(index, type))
        {
            return true;
        }
        lock (_gate)
        {
            return GetLocked(index, type);
        }
    }

    public void Put(ulong mfn)
    {
        long index = _frames.IndexOf(mfn);
        if (index < 0 || TryDecrement(index))
        {
            return;
        }
        lock (_gate)
        {
            PutLocked(index);
        }
    }

    /// <summary>MMUEXT_PIN_Lx_TABLE: 0, or -EINVAL (pinned already, other type, malformed).</summary>
    public long Pin(ulong mfn, PageType type)
    {
        long index = _frames.IndexOf(mfn);
        if (index < 0 || mfn >= _frames.RamFrames)
        {
            return -Errno.EINVAL;
        }
        lock (_gate)
        {
            if ((Volatile.Read(ref _words[index]) & Pinned) != 0 || !GetLocked(index, type))
            {
                return -Errno.EINVAL;
            }
            Interlocked.Or(ref _words[index], Pinned);
            return 0;
        }
    }

    /// <summary>MMUEXT_UNPIN_TABLE: 0, or -EINVAL when the frame is not pinned.</summary>
    public long Unpin(ulong mfn)
    {
        long index = _frames.IndexOf(mfn);
        if (index < 0)
        {
            return -Errno.EINVAL;
        }
        lock (_gate)
        {
            if ((Volatile.Read(ref _words[index]) & Pinned) == 0)
            {
                return -Errno.EINVAL;
            }
            Interlocked.And(ref _words[index], ~Pinned);
            PutLocked(index);
            return 0;
        }
    }

    /// <summary>
    /// mmu_update of one entry: stores the value (keeping A and D as they are when
    /// <paramref name="preserveAccessedDirty"/>) and moves the references of tables above L1.
    /// </summary>
    /// <param name="replaced">a present entry above L1 now names another frame: cached walks are stale</param>
    /// <returns>0, or -EINVAL for an entry that Xen would refuse</returns>
    public long WriteEntry(long index, int offset, ulong value, bool preserveAccessedDirty, out bool replaced)
    {
        replaced = false;
        PageType type = TypeOf(index);
        if (type is PageType.None or PageType.L1)
        {
            return type == PageType.L1 && !IsLeafAllowed(value)
                ? -Errno.EINVAL : StoreEntry(index, offset, value, preserveAccessedDirty);
        }
        if (type == PageType.Descriptors)
        {
            return -Errno.EINVAL;
        }
        lock (_gate)
        {
            return WriteUpperLocked(index, type, offset, value, preserveAccessedDirty, out replaced);
        }
    }

    private long WriteUpperLocked(
        long index, PageType type, int offset, ulong value, bool preserveAccessedDirty, out bool replaced)
    {
        replaced = false;
        if (type == PageType.L4 && offset / sizeof(ulong) is >= FirstHoleSlot and <= LastHoleSlot)
        {
            return -Errno.EINVAL;
        }
        if ((value & PageTableEntry.Present) != 0 && !GetChildLocked(value, type - 1))
        {
            return -Errno.EINVAL;
        }
        ulong old = Volatile.Read(ref _frames.UInt64At(index, offset));
        StoreEntry(index, offset, value, preserveAccessedDirty);
        if ((old & PageTableEntry.Present) != 0)
        {
            replaced = (value & PageTableEntry.Present) != 0
                && PageTableEntry.Frame(old) != PageTableEntry.Frame(value);
            PutChildLocked(old);
        }
        return 0;
    }

    private long StoreEntry(long index, int offset, ulong value, bool preserveAccessedDirty)
    {
        const ulong kept = PageTableEntry.Accessed | PageTableEntry.Dirty;
        ref ulong cell = ref _frames.UInt64At(index, offset);
        if (!preserveAccessedDirty)
        {
            Volatile.Write(ref cell, value);
        }
        else
        {
            // The engine's walker sets A and D at any time: only compare-exchange loses none of them.
            ulong old = Volatile.Read(ref cell), seen;
            while ((seen = Interlocked.CompareExchange(ref cell, (value & ~kept) | (old & kept), old)) != old)
            {
                old = seen;
            }
        }
        _frames.NoteWritten(index, offset, sizeof(ulong));
        return 0;
    }

    /// <summary>A leaf may be absent, or name a populated frame of the domain.</summary>
    private bool IsLeafAllowed(ulong value)
    {
        if ((value & PageTableEntry.Present) == 0)
        {
            return true;
        }
        long index = _frames.IndexOf(PageTableEntry.Frame(value));
        return index >= 0 && !_frames.Has(index, FrameFlags.Absent);
    }

    private bool TryIncrement(long index, PageType type)
    {
        uint old = Volatile.Read(ref _words[index]);
        while ((old & CountMask) is not 0 and not CountMask && (PageType)(old >> TypeShift) == type)
        {
            uint seen = Interlocked.CompareExchange(ref _words[index], old + 1, old);
            if (seen == old)
            {
                return true;
            }
            old = seen;
        }
        return false;
    }

    private bool TryDecrement(long index)
    {
        uint old = Volatile.Read(ref _words[index]);
        while ((old & CountMask) > 1)
        {
            uint seen = Interlocked.CompareExchange(ref _words[index], old - 1, old);
            if (seen == old)
            {
                return true;
            }
            old = seen;
        }
        return false;
    }

    private bool GetLocked(long index, PageType type)
    {
        if (TryIncrement(index, type))
        {
            return true;
        }
        uint word = Volatile.Read(ref _words[index]);
        if ((word & (CountMask | Walking)) != 0 || _frames.Has(index, FrameFlags.Absent))
        {
            return false;
        }
        if (type is PageType.L1 or PageType.Descriptors)
        {
            Enter(index, type);
            return true;
        }
        Volatile.Write(ref _words[index], Walking | ((uint)type << TypeShift));
        if (!GetChildrenLocked(index, type))
        {
            Volatile.Write(ref _words[index], 0);
            return false;
        }
        Enter(index, type);
        return true;
    }

    private void Enter(long index, PageType type)
    {
        Volatile.Write(ref _words[index], ((uint)type << TypeShift) | 1);
        if (type != PageType.Descriptors)
        {
            _frames.Set(index, FrameFlags.PageTable);
        }
    }

    private void PutLocked(long index)
    {
        if (TryDecrement(index))
        {
            return;
        }
        uint word = Volatile.Read(ref _words[index]);
        if ((word & CountMask) == 0)
        {
            return;
        }
        var type = (PageType)(word >> TypeShift);
        Volatile.Write(ref _words[index], 0);
        _frames.Clear(index, FrameFlags.PageTable);
        if (type is PageType.L2 or PageType.L3 or PageType.L4)
        {
            PutChildrenLocked(index, type, 512);
        }
    }

    private bool GetChildrenLocked(long index, PageType type)
    {
        for (int slot = 0; slot < 512; slot++)
        {
            ulong entry = ReadSlot(index, type, slot);
            if ((entry & PageTableEntry.Present) != 0 && !GetChildLocked(entry, type - 1))
            {
                PutChildrenLocked(index, type, slot);
                return false;
            }
        }
        return true;
    }

    private void PutChildrenLocked(long index, PageType type, int slots)
    {
        for (int slot = 0; slot < slots; slot++)
        {
            ulong entry = ReadSlot(index, type, slot);
            if ((entry & PageTableEntry.Present) != 0)
            {
                PutChildLocked(entry);
            }
        }
    }

    private ulong ReadSlot(long index, PageType type, int slot) =>
        type == PageType.L4 && slot is >= FirstHoleSlot and <= LastHoleSlot
            ? 0 : Volatile.Read(ref _frames.UInt64At(index, slot * sizeof(ulong)));

    private bool GetChildLocked(ulong entry, PageType type)
    {
        long child = _frames.IndexOf(PageTableEntry.Frame(entry));
        return child >= 0 && (entry & PageTableEntry.PageSize) == 0 && GetLocked(child, type);
    }

    private void PutChildLocked(ulong entry)
    {
        long child = _frames.IndexOf(PageTableEntry.Frame(entry));
        if (child >= 0)
        {
            PutLocked(child);
        }
    }
}
