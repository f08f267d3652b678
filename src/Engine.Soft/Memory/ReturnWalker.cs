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
internal sealed unsafe class ReturnWalker(GuestFrames frames, LastTables tables)
{
    private const ulong Needed = PageTableEntry.Present | PageTableEntry.Accessed;

    /// <summary>Of each page: where its entry is, on the host (0: there is no table), and what the levels above have.</summary>
    private readonly ulong[] _entries = new ulong[KeptPages.Most], _ways = new ulong[KeptPages.Most];
    private readonly ReturnedPage[] _found = new ReturnedPage[KeptPages.Most];

    /// <summary>From now on in the address space of a root.</summary>
    public void Begin(ulong root) => tables.Begin(root);

    /// <summary>What is known of each page; good until the next call.</summary>
    /// <param name="pages">addresses, at most <see cref="KeptPages.Most"/></param>
    public ReadOnlySpan<ReturnedPage> Walk(ReadOnlySpan<ulong> pages)
    {
        Span<ReturnedPage> found = _found.AsSpan(0, pages.Length);
        for (int n = 0; n < pages.Length; n++)
        {
            ulong* entry = tables.Entry(pages[n], out _ways[n]);
            _entries[n] = (ulong)entry;
            Sse.Prefetch0(entry);
        }
        for (int n = 0; n < pages.Length; n++)
        {
            found[n] = Read((ulong*)_entries[n], _ways[n]);
            Sse.Prefetch0(frames.Flags + Math.Max(found[n].Frame, 0));
        }
        foreach (ref ReturnedPage page in found)
        {
            page.Flags = page.Frame >= 0 ? (FrameFlags)frames.Flags[page.Frame] : FrameFlags.Absent;
            page.Frame = (page.Flags & FrameFlags.Absent) != 0 ? -1 : page.Frame;
        }
        return found;
    }

    private ReturnedPage Read(ulong* slot, ulong way)
    {
        ulong entry = slot != null ? Volatile.Read(ref *slot) : 0;
        bool isThere = (entry & Needed) == Needed && (way & PageTableEntry.Accessed) != 0;
        return new ReturnedPage
        {
            Frame = isThere ? frames.IndexOf(PageTableEntry.Frame(entry)) : -1,
            Entry = (entry & (way | ~PageTableEntry.Writable)) | (way & PageTableEntry.NoExecute),
        };
    }
}
