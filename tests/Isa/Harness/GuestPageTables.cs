using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>
/// 4-level page tables in guest frames (SDM vol. 3, 4.5). Tables are taken from a range of frames in
/// order and never given back.
/// </summary>
public sealed class GuestPageTables(GuestFrames frames, ulong firstFrame, ulong frameCount)
{
    private ulong _used;

    /// <summary>Builds the tables of a layout; returns the mfn of its L4. Test frame n is mfn n.</summary>
    /// <exception cref="InvalidOperationException">the range of frames is used up</exception>
    public ulong Build(AddressLayout layout)
    {
        ulong root = Take();
        foreach (PageMapping page in layout.Pages)
        {
            Entry(root, page.Va) = Leaf(page);
        }
        return root;
    }

    public static ulong Leaf(PageMapping page)
    {
        ulong entry = (ulong)page.Frame << GuestFrames.PageShift | PageTableEntry.Present | PageTableEntry.User;
        entry |= page.Access.HasFlag(PageAccess.Write) ? PageTableEntry.Writable : 0;
        return entry | (page.Access.HasFlag(PageAccess.Execute) ? 0 : PageTableEntry.NoExecute);
    }

    /// <summary>The L1 entry of an address; upper levels are made where they are missing.</summary>
    public ref ulong Entry(ulong root, ulong va)
    {
        ulong table = root;
        for (int level = 4; level > 1; level--)
        {
            ref ulong entry = ref Table(table)[PageTableEntry.Index(va, level)];
            if ((entry & PageTableEntry.Present) == 0)
            {
                entry = Take() << GuestFrames.PageShift
                    | PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User;
            }
            table = PageTableEntry.Frame(entry);
        }
        return ref Table(table)[PageTableEntry.Index(va, 1)];
    }

    private Span<ulong> Table(ulong mfn) => MemoryMarshal.Cast<byte, ulong>(frames.Span(mfn));

    private ulong Take()
    {
        if (_used == frameCount)
        {
            throw new InvalidOperationException("the test has more page tables than its frames hold");
        }
        ulong mfn = firstFrame + _used++;
        frames.Span(mfn).Clear();
        return mfn;
    }
}
