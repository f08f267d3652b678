using System;
using System.Collections.Generic;
using Ryokan.DomainBuilder.Kernel;

namespace Ryokan.DomainBuilder.Boot;

/// <summary>
/// Where everything of a fresh PV domain lies. Up to the boot stack it is one linear mapping,
/// VA = VIRT_BASE + pfn * 4096, in the order that xen/include/public/xen.h ("Start-of-day memory layout")
/// promises; what need not be mapped follows it.
/// </summary>
internal sealed class BootLayout
{
    private const ulong PageBytes = 4096;
    private const int PageShift = 12;

    /// <summary>
    /// The mapping ends on such a boundary, with at least <see cref="SlackBytes"/> after the stack.
    /// </summary>
    private const ulong MappingAlignment = 4 << 20;
    private const ulong SlackBytes = 512 << 10;

    public ulong VirtBase { get; }

    /// <summary>Pages that the domain starts with; the list of them has as many entries.</summary>
    public ulong Pages { get; }
    public FrameRange Kernel { get; }
    public ulong StartInfoPfn { get; private set; }
    public ulong StorePfn { get; private set; }
    public ulong ConsolePfn { get; private set; }
    public FrameRange PageTables { get; private set; }
    public ulong StackPfn { get; private set; }

    /// <summary>First frame after the linear mapping.</summary>
    public ulong MappingEndPfn { get; private set; }

    public FrameRange Ramdisk { get; private set; }
    public FrameRange P2M { get; private set; }

    /// <summary>Page tables that map the p2m list, when it has an address of its own.</summary>
    public FrameRange P2MPageTables { get; private set; }

    public ulong P2MVa { get; private set; }

    /// <summary>The initramfs is outside the mapping: start_info gives its pfn.</summary>
    public bool RamdiskByPfn { get; }

    /// <summary>First frame that nothing was put into.</summary>
    public ulong EndPfn { get; private set; }

    /// <exception cref="DomainBuildException">with key "memory": it does not fit</exception>
    public BootLayout(LoadedKernel kernel, ulong pages, ulong ramdiskBytes)
        : this(kernel, ramdiskBytes, pages, out ulong needed)
    {
        if (needed > pages)
        {
            throw new DomainBuildException("memory", null,
                $"{pages >> 8} MiB is too little: kernel, initramfs and first page tables"
                + $" need {LeastMiB(kernel, ramdiskBytes, needed)} MiB");
        }
    }

    private BootLayout(LoadedKernel kernel, ulong ramdiskBytes, ulong pages, out ulong needed)
    {
        XenNotes notes = kernel.Notes;
        (VirtBase, Pages) = (notes.VirtBaseVa, pages);
        Kernel = new FrameRange(kernel.FirstPfn, kernel.EndPfn - kernel.FirstPfn);
        ulong ramdiskPages = PagesFor(ramdiskBytes);
        ulong p2mPages = PagesFor(pages * 8);
        RamdiskByPfn = notes.AcceptsModStartPfn;
        ulong next = Kernel.End;
        if (!RamdiskByPfn)
        {
            Ramdisk = Take(ref next, ramdiskPages);
        }
        if (notes.InitP2MVa == null)
        {
            P2M = Take(ref next, p2mPages);
            P2MVa = Va(P2M.First);
        }
        PlaceMapped(next);
        next = MappingEndPfn;
        if (RamdiskByPfn)
        {
            Ramdisk = Take(ref next, ramdiskPages);
        }
        if (notes.InitP2MVa is { } p2mVa)
        {
            P2MVa = p2mVa;
            P2M = Take(ref next, p2mPages);
            P2MPageTables = Take(ref next, TablesFor(Mapping, (p2mVa, p2mVa + p2mPages * PageBytes))
                - TablesFor(Mapping));
        }
        EndPfn = Math.Max(Math.Min(next, pages), StackPfn + 1);
        needed = next > MappingEndPfn ? next : StackPfn + 1;
    }

    /// <summary>
    /// The least memory that everything fits into, in whole MiB. The list of pages grows with it.
    /// </summary>
    private static ulong LeastMiB(LoadedKernel kernel, ulong ramdiskBytes, ulong needed)
    {
        for (; ; )
        {
            ulong mib = (needed + 255) >> 8;
            _ = new BootLayout(kernel, ramdiskBytes, mib << 8, out needed);
            if (needed <= mib << 8)
            {
                return mib;
            }
        }
    }

    public ulong Va(ulong pfn) => VirtBase + (pfn << PageShift);

    /// <summary>The linear mapping as an address range.</summary>
    public (ulong Start, ulong End) Mapping => (VirtBase, Va(MappingEndPfn));

    /// <summary>A frame that holds one of the first page tables: mapped without write permission.</summary>
    public bool IsPageTable(ulong pfn) => PageTables.Contains(pfn) || P2MPageTables.Contains(pfn);

    /// <summary>
    /// start_info, rings, page tables, stack; the number of tables depends on the end and the end on it.
    /// </summary>
    private void PlaceMapped(ulong next)
    {
        StartInfoPfn = next++;
        StorePfn = next++;
        ConsolePfn = next++;
        for (ulong tables = 0; ;)
        {
            ulong end = Va(next + tables + 1) + SlackBytes;
            end = (end + MappingAlignment - 1) & ~(MappingAlignment - 1);
            ulong needed = TablesFor((VirtBase, end));
            if (needed <= tables)
            {
                PageTables = new FrameRange(next, tables);
                StackPfn = PageTables.End;
                MappingEndPfn = (end - VirtBase) >> PageShift;
                return;
            }
            tables = needed;
        }
    }

    private static FrameRange Take(ref ulong next, ulong count)
    {
        FrameRange range = new(next, count);
        next += count;
        return range;
    }

    private static ulong PagesFor(ulong bytes) => (bytes + PageBytes - 1) / PageBytes;

    /// <summary>How many page-table frames, the L4 included, it takes to map these ranges.</summary>
    private static ulong TablesFor(params ReadOnlySpan<(ulong Start, ulong End)> ranges)
    {
        HashSet<(int Level, ulong Prefix)> tables = [];
        foreach ((ulong start, ulong end) in ranges)
        {
            for (int level = 1; level <= 3; level++)
            {
                int shift = PageShift + 9 * level;
                for (ulong prefix = start >> shift; prefix <= (end - 1) >> shift; prefix++)
                {
                    tables.Add((level, prefix));
                }
            }
        }
        return (ulong)tables.Count + 1;
    }
}
