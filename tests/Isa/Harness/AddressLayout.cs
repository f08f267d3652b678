using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.GuestMemory;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>What a page allows; the bits are those of mmap's PROT_*.</summary>
[Flags]
public enum PageAccess
{
    Read = 1, Write = 2, Execute = 4,
}

/// <summary>One 4096-byte page of a test's address space and the test frame behind it.</summary>
public readonly record struct PageMapping(ulong Va, int Frame, PageAccess Access);

/// <summary>
/// An address space that exists twice: mapped in the oracle's process and in guest page tables. Frames
/// are numbered from 0; several pages may name one frame (aliases).
/// </summary>
public sealed class AddressLayout
{
    public const int PageSize = GuestFrames.PageSize;

    /// <summary>Limit of <c>Native/oracle.c</c>.</summary>
    public const int MaxMappings = 160, MaxFrames = 128;

    public const ulong Data = 0x1000_0000, Stack = 0x3000_0000, Code = 0x2000_0000, HighData = 0x6123_4567_8000;
    public const int DataPages = 8, StackPages = 4, CodePages = 8, HighDataPages = 4;

    /// <summary>A page after the data that can be read and not written; after it nothing is mapped.</summary>
    public const ulong ReadOnly = Data + DataPages * PageSize;

    public IReadOnlyList<PageMapping> Pages { get; }

    /// <summary>Each frame once.</summary>
    public IReadOnlyList<int> Frames { get; }

    public AddressLayout(IEnumerable<PageMapping> pages)
    {
        Pages = [.. pages];
        Frames = [.. Pages.Select(p => p.Frame).Distinct().Order()];
        if (Pages.Count > MaxMappings || Frames.Any(f => (uint)f >= MaxFrames))
        {
            throw new ArgumentException("too many pages or frames for the oracle", nameof(pages));
        }
    }

    /// <summary>
    /// What most sequences run in: neighbouring pages lie in frames that are not neighbours, so that an
    /// access over a page end reads two places.
    /// </summary>
    public static AddressLayout Standard { get; } = new(StandardPages(PageAccess.Read | PageAccess.Execute));

    /// <summary>The same with writable code.</summary>
    public static AddressLayout WritableCode { get; } =
        new(StandardPages(PageAccess.Read | PageAccess.Write | PageAccess.Execute));

    public static IEnumerable<PageMapping> StandardPages(PageAccess code)
    {
        int[] data = [5, 2, 7, 0, 3, 6, 1, 4];
        int[] stack = [11, 9, 12, 10];
        int[] text = [16, 19, 14, 21, 17, 15, 20, 18];
        const PageAccess ReadWrite = PageAccess.Read | PageAccess.Write;
        return
        [
            .. Region(Data, data, ReadWrite), .. Region(ReadOnly, [8], PageAccess.Read),
            .. Region(Stack, stack, ReadWrite), .. Region(Code, text, code),
            .. Region(HighData, data[..HighDataPages], ReadWrite),
        ];
    }

    public static IEnumerable<PageMapping> Region(ulong va, int[] frames, PageAccess access) =>
        frames.Select((frame, i) => new PageMapping(va + (ulong)(i * PageSize), frame, access));

    /// <summary>Frame and offset behind an address; false when it is not mapped.</summary>
    public bool TryLocate(ulong va, out int frame, out int offset)
    {
        foreach (PageMapping page in Pages)
        {
            if (va - page.Va < PageSize)
            {
                (frame, offset) = (page.Frame, (int)(va - page.Va));
                return true;
            }
        }
        (frame, offset) = (-1, 0);
        return false;
    }
}
