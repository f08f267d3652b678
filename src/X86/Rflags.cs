using System;

namespace Ryokan.X86;

/// <summary>RFLAGS bits (Intel SDM vol. 1, 3.4.3).</summary>
[Flags]
public enum Rflags : ulong
{
    CF = 1, Reserved1 = 2, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, TF = 0x100, IF = 0x200, DF = 0x400, OF = 0x800,
    Iopl = 0x3000, NT = 0x4000, RF = 0x10000, VM = 0x20000, AC = 0x40000, VIF = 0x80000, VIP = 0x100000, ID = 0x200000,

    /// <summary>CF, PF, AF, ZF, SF and OF.</summary>
    Arithmetic = CF | PF | AF | ZF | SF | OF,
}

/// <summary>Exception vectors (Intel SDM vol. 3, 6.15).</summary>
public enum ExceptionVector : byte
{
    DivideError = 0, Debug = 1, Nmi = 2, Breakpoint = 3, Overflow = 4, BoundRange = 5, InvalidOpcode = 6,
    DeviceNotAvailable = 7, DoubleFault = 8, InvalidTss = 10, SegmentNotPresent = 11, StackFault = 12,
    GeneralProtection = 13, PageFault = 14, X87 = 16, AlignmentCheck = 17, MachineCheck = 18, Simd = 19,
}

/// <summary>Page-fault error-code bits (Intel SDM vol. 3, 4.7).</summary>
[Flags]
public enum PageFaultError : uint
{
    None = 0, Present = 1, Write = 2, User = 4, Reserved = 8, InstructionFetch = 16,
}

/// <summary>Bits of a 4-level page-table entry (Intel SDM vol. 3, 4.5).</summary>
public static class PageTableEntry
{
    public const ulong Present = 1, Writable = 2, User = 4, WriteThrough = 8, CacheDisable = 0x10,
        Accessed = 0x20, Dirty = 0x40, PageSize = 0x80, Global = 0x100, NoExecute = 1UL << 63;

    /// <summary>Bits 51:12: the frame's machine address.</summary>
    public const ulong AddressMask = 0x000f_ffff_ffff_f000;

    public static ulong Frame(ulong entry) => (entry & AddressMask) >> 12;

    /// <summary>Index into the table of a level (1 = lowest .. 4) for a virtual address.</summary>
    public static int Index(ulong va, int level) => (int)(va >> (12 + 9 * (level - 1))) & 511;

    public static bool IsCanonical(ulong va) => (ulong)((long)(va << 16) >> 16) == va;
}
