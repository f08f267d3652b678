using System;
using System.Collections.Generic;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>Why translated code may leave at a certain place.</summary>
internal enum SiteKind : byte
{
    /// <summary>The operand of an ordinary instruction missed in the soft TLB.</summary>
    Access,

    /// <summary>A plain load into TEMP0 missed.</summary>
    Load,

    /// <summary>A plain store of <see cref="Site.Source"/> missed.</summary>
    Store,

    /// <summary>A direct jump inside the page that is not linked yet; <see cref="Site.Next"/> is its target.</summary>
    Link,

    /// <summary>
    /// A direct jump of user code to another page that is not linked yet. The vCPU block's page base is the target's already.
    /// <see cref="Site.Resume"/>: the place of minus the frame that the link is for; <see cref="Site.After"/>: the field of the jump for
    /// other frames; <see cref="Site.Value"/>: where that goes once there is a link.
    /// </summary>
    FarLink,

    /// <summary>A poll saw the kick flag; goes on at <see cref="Site.Next"/>.</summary>
    Poll,

    Syscall,

    /// <summary>The instruction, whose form <see cref="Site.Value"/> names, is emulated in C#.</summary>
    Slow,

    /// <summary>An instruction that the guest's CPU does not have.</summary>
    Undefined,

    /// <summary>End of a one-instruction copy that ran on the bounce buffer.</summary>
    StepDone,

    /// <summary>The check of a group failed: <see cref="Site.Size"/> bytes at <see cref="Site.Register"/> + index + <see cref="Site.Value"/>.</summary>
    Group,

    /// <summary>The same for the stack.</summary>
    StackGroup,

    /// <summary>One instruction was run because of TF.</summary>
    SingleStep,
}

/// <summary>What a <see cref="SiteKind.Store"/> site stores.</summary>
internal enum StoreSource : byte
{
    /// <summary>Guest register <see cref="Site.Register"/>.</summary>
    Register,

    /// <summary><see cref="Site.Value"/>.</summary>
    Immediate,

    /// <summary>Guest address: page base + <see cref="Site.Value"/>.</summary>
    GuestAddress,

    /// <summary>The vCPU block's second spill slot.</summary>
    Spill,
}

/// <summary>One place where translated code may leave. Offsets: guest ones in the page, host ones in the block.</summary>
internal struct Site
{
    public SiteKind Kind;
    public StoreSource Source;
    public bool Write;

    /// <summary>The check kept flags: the address is in spill slot 1.</summary>
    public bool FlagFree;

    /// <summary>The check takes only addresses that are multiples of 8.</summary>
    public bool Aligned;
    public byte Length;

    /// <summary>An opmask selects which parts of the operand are accessed.</summary>
    public bool Masked;

    /// <summary>The stub goes to code made later, for operands in two pages; a link's jump goes to a block.</summary>
    public bool Extended;

    /// <summary>Stored register, or base register of a group.</summary>
    public byte Register;

    /// <summary>Index register of a group, when <see cref="Scale"/> is not 0.</summary>
    public byte Index, Scale;
    public ushort Size;

    /// <summary>Host offset of the check, to try again.</summary>
    public ushort Resume;

    /// <summary>Host offset behind the instruction (Access, Slow) or behind the access (Load, Store).</summary>
    public ushort After;

    /// <summary>Page offset of the instruction.</summary>
    public int Guest;

    /// <summary>Page offset where the guest goes on (may be outside the page).</summary>
    public int Next;

    /// <summary>Host offset of the rel32 field of a link.</summary>
    public int Field;

    /// <summary>Host offset of the stub.</summary>
    public int Stub;
    public int Value;

    /// <summary>The next link to the same block, as <see cref="TranslationBlock.Incoming"/>.</summary>
    public int NextIncoming;
}

/// <summary>The number that names a site of a block: behind the call of the site's stub, and in lists of links.</summary>
internal static class SiteWord
{
    private const int SiteBits = 10;

    /// <summary>Sites that a block may have.</summary>
    public const int MostSites = (1 << SiteBits) - 1;

    public static int Of(int block, int site) => block << SiteBits | site;

    public static int BlockOf(int word) => word >>> SiteBits;

    public static int SiteOf(int word) => word & MostSites;
}

/// <summary>A translated run of guest instructions of one physical page and mode.</summary>
internal sealed unsafe class TranslationBlock
{
    public required int Id { get; init; }
    public required BlockKey Key { get; init; }

    /// <summary>Guest address of the page for kernel code, which is translated for one address; else 0.</summary>
    public required ulong PageVa { get; init; }
    public required byte* Code { get; init; }

    /// <summary>Where links lead to, which know that the block is the right one.</summary>
    public required byte* Local { get; init; }

    /// <summary>Where the jump cache leads to; null until somebody jumps here by it.</summary>
    public byte* Entry { get; set; }
    public required int CodeBytes { get; init; }

    /// <summary>Place in the entry of the rel8 field that a retired block of user code makes 0, so that it never goes on; 0 in kernel code.</summary>
    public int EntryJump { get; set; }
    public required ArraySegment<Site> KeptSites { private get; init; }
    public Span<Site> Sites => KeptSites;

    /// <summary>(host offset &lt;&lt; 16 | guest page offset) of every instruction, ascending.</summary>
    public required ArraySegment<uint> Instructions { get; init; }

    /// <summary>Bytes [Low, High) of the page were read; High above 4096 when the next page was read too.</summary>
    public required int Low { get; init; }
    public required int High { get; init; }

    /// <summary>Frame of the next page when the (only) instruction crosses into it, else -1.</summary>
    public required long SecondFrame { get; init; }

    public bool Valid { get; set; } = true;

    /// <summary>The first link that jumps here: a <see cref="SiteWord"/>; -1: none.</summary>
    public int Incoming { get; set; } = NoLink;
    public const int NoLink = -1;

    /// <summary>Code of bounce copies by site, made on demand.</summary>
    public Dictionary<int, nint>? Steps { get; set; }

    /// <summary>Page offset of the instruction at a host address inside the block.</summary>
    public int GuestOffsetAt(byte* pc)
    {
        uint host = (uint)(pc - Code);
        int low = 0, high = Instructions.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) >> 1;
            if (Instructions[middle] >> 16 <= host)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }
        return (int)(Instructions[low] & 0xffff);
    }
}

/// <summary>Execution mode that a translation depends on.</summary>
[System.Flags]
internal enum BlockMode : byte
{
    None = 0,
    Kernel = 1,

    /// <summary>64-bit code.</summary>
    Long = 2,

    /// <summary>RFLAGS.DF is set.</summary>
    Backward = 4,

    /// <summary>RFLAGS.TF is set: one instruction, then a debug trap.</summary>
    SingleStep = 8,

    /// <summary>CR0.TS is set: floating point raises #NM.</summary>
    TaskSwitched = 16,

    /// <summary>Every access is checked by itself: for blocks whose groups do not hold.</summary>
    Ungrouped = 32,
}

/// <summary>Identity of a translation: physical address and mode.</summary>
internal readonly record struct BlockKey(long Frame, int Offset, BlockMode Mode);
