using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>What a page walk found.</summary>
internal unsafe struct Translation
{
    /// <summary>Host address of the page; null when the walk failed.</summary>
    public byte* Page;

    /// <summary>Dense frame index, or -1 for a page of the hypervisor's window.</summary>
    public long Frame;

    /// <summary>A write entry may be made without a further walk: writable and already dirty.</summary>
    public bool WriteReady;
    public ulong LeafEntry;

    /// <summary>Error code of the fault when the walk failed.</summary>
    public PageFaultError Error;
}

/// <summary>
/// Walks the guest's 4-level tables (Intel SDM vol. 3, 4.5) for a PV guest: CR0.WP acts as 1, the user bit is
/// not looked at (user mode has a root of its own), superpages do not exist. Sets accessed and dirty bits.
/// Table frames are only ever read through <see cref="GuestFrames.Frame"/>, so a wild entry is a fault.
/// </summary>
internal sealed unsafe class PageWalker(GuestFrames frames, HypervisorHole hole)
{
    public bool TryWalk(ulong root, ulong va, AccessKind access, bool kernel, bool setBits, out Translation result)
    {
        result = default;
        PageFaultError kind = (access == AccessKind.Write ? PageFaultError.Write : 0)
            | (access == AccessKind.Execute ? PageFaultError.InstructionFetch : 0)
            | (kernel ? 0 : PageFaultError.User);
        if (va >= hole.Start && va < hole.End)
        {
            return WalkHole(va, access, kernel, kind, ref result);
        }
        bool writable = true, executable = true;
        ulong table = root, entry = 0;
        ulong* slot = null;
        for (int level = 4; level > 0; level--)
        {
            byte* page = frames.Frame(table);
            if (page == null)
            {
                result.Error = kind;
                return false;
            }
            slot = (ulong*)page + PageTableEntry.Index(va, level);
            entry = Volatile.Read(ref *slot);
            if ((entry & PageTableEntry.Present) == 0 || (level is 2 or 3 && (entry & PageTableEntry.PageSize) != 0))
            {
                result.Error = kind;
                return false;
            }
            writable &= (entry & PageTableEntry.Writable) != 0;
            executable &= (entry & PageTableEntry.NoExecute) == 0;
            if (setBits && (entry & PageTableEntry.Accessed) == 0)
            {
                Interlocked.Or(ref *slot, PageTableEntry.Accessed);
            }
            table = PageTableEntry.Frame(entry);
        }
        return FinishLeaf(table, entry, slot, access, kernel, setBits, writable, executable, kind, ref result);
    }

    /// <summary>
    /// The last table on the way to an address; null when there is none. Sets no bits. For all addresses in one 2 MiB it is the same.
    /// <paramref name="way"/>: of the bits Writable and Accessed those that all entries above it have, of NoExecute whether one has it.
    /// </summary>
    public ulong* LastTable(ulong root, ulong va, out ulong way)
    {
        const ulong Common = PageTableEntry.Writable | PageTableEntry.Accessed;
        way = Common;
        if (va >= hole.Start && va < hole.End)
        {
            return null;
        }
        ulong* table = (ulong*)frames.Frame(root);
        for (int level = 4; level > 1 && table != null; level--)
        {
            ulong entry = Volatile.Read(ref table[PageTableEntry.Index(va, level)]);
            bool leads = (entry & PageTableEntry.Present) != 0 && (level == 4 || (entry & PageTableEntry.PageSize) == 0);
            way = (way & (entry | ~Common)) | (entry & PageTableEntry.NoExecute);
            table = leads ? (ulong*)frames.Frame(PageTableEntry.Frame(entry)) : null;
        }
        return table;
    }

    /// <summary>True when a last entry lets code run from a frame.</summary>
    public bool IsExecutable(ulong entry, long frame) =>
        (entry & (PageTableEntry.Present | PageTableEntry.NoExecute)) == PageTableEntry.Present
        && frames.IndexOf(PageTableEntry.Frame(entry)) == frame && !frames.Has(frame, FrameFlags.Absent);

    private bool FinishLeaf(ulong mfn, ulong entry, ulong* slot, AccessKind access, bool kernel, bool setBits,
        bool writable, bool executable, PageFaultError kind, ref Translation result)
    {
        long frame = frames.IndexOf(mfn);
        if (frame < 0 || frames.Has(frame, FrameFlags.Absent))
        {
            result.Error = kind; // Xen would not have let the entry in: behave as if it were not there
            return false;
        }
        // A kernel store to a page table that it maps read-only is let through, as Xen emulates it.
        bool table = !writable && kernel && frames.Has(frame, FrameFlags.PageTable);
        if ((access == AccessKind.Write && !writable && !table) || (access == AccessKind.Execute && !executable))
        {
            result.Error = kind | PageFaultError.Present;
            return false;
        }
        if (access == AccessKind.Write && setBits && writable && (entry & PageTableEntry.Dirty) == 0)
        {
            Interlocked.Or(ref *slot, PageTableEntry.Dirty);
            entry |= PageTableEntry.Dirty;
        }
        result.Page = frames.Base + frame * GuestFrames.PageSize;
        result.Frame = frame;
        result.LeafEntry = entry;
        result.WriteReady = (writable && (entry & PageTableEntry.Dirty) != 0) || (table && access == AccessKind.Write);
        return true;
    }

    private bool WalkHole(ulong va, AccessKind access, bool kernel, PageFaultError kind, ref Translation result)
    {
        ulong offset = (va - hole.WindowStart) & ~0xfffUL; // wraps to something large below the window
        if (!kernel || offset >= hole.WindowBytes)
        {
            result.Error = kind;
            return false;
        }
        if (access != AccessKind.Read)
        {
            result.Error = kind | PageFaultError.Present;
            return false;
        }
        result.Page = (byte*)hole.WindowHost + offset;
        result.Frame = -1;
        return true;
    }
}
