using System;
using System.Runtime.Intrinsics.X86;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>What is known of a page: the bits Writable, Dirty and NoExecute of its entry, the first and the last as they hold on the whole way.</summary>
internal struct ReturnedPage
{
    /// <summary>-1: the page is not plainly there.</summary>
    public long Frame;
    public ulong Entry;
    public FrameFlags Flags;
}

/// <summary>
/// Walks to many pages below the hole in one address space (Intel SDM vol. 3, 4.5), as long as everything on the way is as it should be: present,
/// marked accessed, RAM. Sets no bits: what is not plainly there is for <see cref="PageWalker"/>. Hardly any entry is in the processor's cache
/// after another address space has run, so all are asked for before the first is looked at.
/// </summary>
internal sealed unsafe class ReturnWalker(GuestFrames frames)
{
    private const int Known = 32;
    private const ulong Needed = PageTableEntry.Present | PageTableEntry.Accessed;

    private ulong _root;

    /// <summary>Of the last tables, for 2 MiB each: one more than the number of the 2 MiB (0: none yet); host address (0: there is none); what the levels above allow.</summary>
    private readonly ulong[] _places = new ulong[Known], _tables = new ulong[Known], _above = new ulong[Known];

    /// <summary>Where the entries of the pages are, on the host; 0: there is no table.</summary>
    private readonly ulong[] _entries = new ulong[KeptPages.Most];
    private readonly ReturnedPage[] _found = new ReturnedPage[KeptPages.Most];

    /// <summary>From now on in the address space of a root.</summary>
    public void Begin(ulong root)
    {
        _root = root;
        Array.Clear(_places);
    }

    /// <summary>What is known of each page; good until the next call.</summary>
    /// <param name="pages">addresses, at most <see cref="KeptPages.Most"/></param>
    public ReadOnlySpan<ReturnedPage> Walk(ReadOnlySpan<ulong> pages)
    {
        Span<ulong> entries = _entries.AsSpan(0, pages.Length);
        Span<ReturnedPage> found = _found.AsSpan(0, pages.Length);
        for (int n = 0; n < entries.Length; n++)
        {
            ulong table = _tables[PlaceOf(pages[n])];
            entries[n] = table != 0 ? table + 8 * (ulong)PageTableEntry.Index(pages[n], 1) : 0;
            Sse.Prefetch0((void*)entries[n]);
        }
        for (int n = 0; n < entries.Length; n++)
        {
            found[n] = Read((ulong*)entries[n], _above[PlaceOf(pages[n])]);
            Sse.Prefetch0(frames.Flags + Math.Max(found[n].Frame, 0));
        }
        foreach (ref ReturnedPage page in found)
        {
            page.Flags = page.Frame >= 0 ? (FrameFlags)frames.Flags[page.Frame] : FrameFlags.Absent;
            page.Frame = (page.Flags & FrameFlags.Absent) != 0 ? -1 : page.Frame;
        }
        return found;
    }

    private ReturnedPage Read(ulong* slot, ulong above)
    {
        ulong entry = slot != null ? Volatile.Read(ref *slot) : 0;
        bool isThere = (entry & Needed) == Needed;
        return new ReturnedPage
        {
            Frame = isThere ? frames.IndexOf(PageTableEntry.Frame(entry)) : -1,
            Entry = (entry & (above | ~PageTableEntry.Writable)) | (above & PageTableEntry.NoExecute),
        };
    }

    /// <summary>The place of a page's table among those that are remembered.</summary>
    private int PlaceOf(ulong page)
    {
        ulong place = (page >> 21) + 1;
        int n = (int)place & (Known - 1);
        if (_places[n] != place)
        {
            _places[n] = place;
            _tables[n] = LastTable(page, out ulong above);
            _above[n] = above;
        }
        return n;
    }

    private ulong LastTable(ulong page, out ulong above)
    {
        above = PageTableEntry.Writable;
        var table = (ulong*)frames.Frame(_root);
        for (int level = 4; level > 1 && table != null; level--)
        {
            ulong entry = Volatile.Read(ref table[PageTableEntry.Index(page, level)]);
            bool leads = (entry & Needed) == Needed && (level == 4 || (entry & PageTableEntry.PageSize) == 0);
            above = (above & (entry | ~PageTableEntry.Writable)) | (entry & PageTableEntry.NoExecute);
            table = leads ? (ulong*)frames.Frame(PageTableEntry.Frame(entry)) : null;
        }
        return (ulong)table;
    }
}
