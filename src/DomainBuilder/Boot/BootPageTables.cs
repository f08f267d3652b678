using System;
using System.Runtime.InteropServices;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.DomainBuilder.Boot;

/// <summary>
/// Writes a domain's first page tables: upper entries present, writable, user, accessed and dirty, leaves
/// present, writable and accessed; leaves that map page tables without write permission.
/// </summary>
internal sealed class BootPageTables
{
    private const ulong Upper = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User
        | PageTableEntry.Accessed | PageTableEntry.Dirty;
    private const ulong Leaf = PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.Accessed;

    private readonly GuestFrames _frames;
    private readonly BootLayout _layout;
    private ulong _next;
    private ulong _end;

    private BootPageTables(GuestFrames frames, BootLayout layout) => (_frames, _layout) = (frames, layout);

    /// <summary>Fills the frames that the layout set aside; the first of them is the L4.</summary>
    public static void Write(GuestFrames frames, BootLayout layout)
    {
        BootPageTables tables = new(frames, layout);
        tables.UseFrames(layout.PageTables);
        tables._next++;
        // The mapping is rounded up and may reach past the end of a small domain.
        ulong mapped = Math.Min(layout.MappingEndPfn, layout.Pages);
        tables.Map(layout.VirtBase, new FrameRange(0, mapped));
        if (layout.P2MVa != layout.Va(layout.P2M.First))
        {
            tables.UseFrames(layout.P2MPageTables);
            tables.Map(layout.P2MVa, layout.P2M);
        }
    }

    private void UseFrames(FrameRange range) => (_next, _end) = (range.First, range.End);

    private void Map(ulong va, FrameRange pages)
    {
        for (ulong pfn = pages.First; pfn < pages.End;)
        {
            Span<ulong> table = Table(va);
            int index = PageTableEntry.Index(va, 1);
            for (; index < 512 && pfn < pages.End; index++, pfn++, va += GuestFrames.PageSize)
            {
                ulong entry = (pfn << GuestFrames.PageShift) | Leaf;
                table[index] = _layout.IsPageTable(pfn) ? entry & ~PageTableEntry.Writable : entry;
            }
        }
    }

    /// <summary>The L1 table for an address, made when missing.</summary>
    private Span<ulong> Table(ulong va)
    {
        Span<ulong> table = Entries(_layout.PageTables.First);
        for (int level = 4; level > 1; level--)
        {
            ref ulong entry = ref table[PageTableEntry.Index(va, level)];
            if (entry == 0)
            {
                if (_next == _end)
                {
                    throw new InvalidOperationException("the layout set too few page-table frames aside");
                }
                entry = (_next++ << GuestFrames.PageShift) | Upper;
            }
            table = Entries(PageTableEntry.Frame(entry));
        }
        return table;
    }

    private Span<ulong> Entries(ulong pfn) => MemoryMarshal.Cast<byte, ulong>(_frames.Span(pfn));
}
