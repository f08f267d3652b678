using System.Runtime.InteropServices;
using Ryokan.Engine;

namespace Ryokan.Engine.Soft;

/// <summary>
/// The memory block of one vCPU that generated code reaches from host RSP. Below it lies a real stack
/// (signals, calls of stubs); RSP equals the block's address whenever guest instructions run.
/// All offsets that generated code uses are named here; <see cref="Head"/> is the C# view of the first part. What nearly every
/// translation uses lies in the first 128 bytes, where an operand's offset takes one byte.
/// </summary>
internal static class VcpuArea
{
    public const int StackBytes = 256 << 10;

    /// <summary>Entries of each soft TLB table: first the tags (minus the page's address) of all, then the host pages; 8 bytes each.</summary>
    public const int TlbEntries = 4096;

    /// <summary>Distance of an entry's host page from its tag.</summary>
    public const int TlbHost = TlbEntries * 8;
    public const int TlbTableBytes = TlbEntries * 16;

    /// <summary>
    /// Entries of each jump cache: first the code of all, then minus their guest addresses; 8 bytes each. The code of an empty entry is a
    /// routine.
    /// </summary>
    public const int JumpEntries = 32768;

    /// <summary>Distance of an entry's minus guest address from its code.</summary>
    public const int JumpTag = JumpEntries * 8;
    public const int JumpTableBytes = JumpEntries * 16;

    /// <summary>Bits of a guest address that select a jump-cache entry (by PEXT).</summary>
    public const ulong JumpMask = 0x1fffc;

    /// <summary>
    /// The second level behind each jump cache, asked when the first holds another address: more entries, each minus what it is for, then
    /// the code. Of the kernel by address; of user code by frame * 4096 + place in it, for programs share code at addresses of their own. An
    /// entry of zeros is empty.
    /// </summary>
    public const int Jump2Entries = 65536;
    public const int JumpTable2Bytes = Jump2Entries * 16;
    public const ulong Jump2Mask = Jump2Entries - 1;

    /// <summary>The index is the sum of that and the same rotated right by this, in the mask's bits.</summary>
    public const int Jump2Shift = 15;

    /// <summary>Tag of an empty TLB entry, of a non-canonical page (which is minus itself); its host page is 0, which faults safely.</summary>
    public const ulong EmptyTag = 0x8000_0000_0000_0000;

    /// <summary>Tag of an empty jump-cache entry: no canonical address.</summary>
    public const ulong EmptyJump = 0x8000_0000_0000_0001;

    /// <summary>Tag of one that was taken out: it stays in the list of filled ones and matches nothing.</summary>
    public const ulong ForgottenJump = EmptyJump - 2;

    /// <summary>The C# view of the block's head.</summary>
    [StructLayout(LayoutKind.Explicit, Size = HeadBytes)]
    public unsafe struct Head
    {
        [FieldOffset(RegistersAt)] public VcpuRegisters Registers;
        [FieldOffset(KickFlag)] public int Kick;
        [FieldOffset(InGuestFlag)] public int InGuest;
        [FieldOffset(JumpMaskNow)] public ulong JumpMaskNow_;
        [FieldOffset(CodeBase)] public ulong CodeBase_;
        [FieldOffset(ExitWord)] public uint ExitWord_;
        [FieldOffset(Temp0Save)] public ulong Temp0;
        [FieldOffset(Temp1Save)] public ulong Temp1;
        [FieldOffset(FaultPc)] public byte* FaultPc_;
        [FieldOffset(FaultSignal)] public int FaultSignal_;
        [FieldOffset(FaultVector)] public int FaultVector_;
        [FieldOffset(GuestMxcsr)] public uint GuestMxcsr_;
        [FieldOffset(HostMxcsr)] public uint HostMxcsr_;
        [FieldOffset(Target)] public byte* Target_;
        [FieldOffset(Borrowed)] public ulong Borrowed_;
        [FieldOffset(Mask63)] public ulong Mask63_;
        [FieldOffset(Mask31)] public ulong Mask31_;
        [FieldOffset(Mask15)] public ulong Mask15_;
        [FieldOffset(HighMask)] public ulong HighMask_;
        [FieldOffset(TlbMask)] public ulong TlbMask_;
        [FieldOffset(CodePageMask)] public ulong CodePageMask_;
        [FieldOffset(StackSlotMask)] public ulong StackSlotMask_;
        [FieldOffset(WideVectors)] public byte WideVectors_;
        [FieldOffset(UpperHalves)] public byte UpperHalves_;
        [FieldOffset(Sleeping)] public ushort Sleeping_;
        [FieldOffset(BeyondAvx)] public byte BeyondAvx_;
        [FieldOffset(StackTag)] public ulong UserStackTag;
        [FieldOffset(StackDelta)] public ulong UserStackDelta;
        [FieldOffset(StackTag + 16)] public ulong KernelStackTag;
        [FieldOffset(StackDelta + 16)] public ulong KernelStackDelta;
    }

    public const int CodeBase = 0, JumpMaskNow = 8, Spill0 = 0x10, CodePageMask = 0x18, HighMask = 0x20, TlbMask = 0x28;

    /// <summary>Minus the address of the stack's page, and host - guest address: two pairs, user then kernel.</summary>
    public const int StackTag = 0x30, StackDelta = 0x38;

    public const int KickFlag = 0x50, InGuestFlag = 0x54;

    /// <summary>Host addresses of the first groups of the block that runs.</summary>
    private const int FirstGroupSlots = 0x58, NearGroupSlots = 2;

    /// <summary>Guest R9-R11 while translated code runs; elsewhere they are in the register file as all others.</summary>
    public const int HighRegisters = 0x68;

    /// <summary>The contract's register file.</summary>
    public const int RegistersAt = 0x80;
    public const int RflagsOffset = RegistersAt + 136, FsBase = RegistersAt + 144, GsBase = RegistersAt + 152;
    public const int EsBase = RegistersAt + 160, DsBase = RegistersAt + 184, Selectors = RegistersAt + 192;
    public const int Xcr0 = RegistersAt + 208;

    public const int ExitWord = 0x180, Temp0Save = 0x188, Temp1Save = 0x190, FaultPc = 0x198, FaultSignal = 0x1a0, FaultVector = 0x1a4;
    public const int HostRsp = 0x1a8, GuestMxcsr = 0x1b0, HostMxcsr = 0x1b4, Target = 0x1b8;
    public const int Borrowed = 0x1c0, Borrowed1 = 0x1c8, Borrowed2 = 0x1d0, CallTarget = 0x1d8, Spill2 = 0x1e0;
    public const int Mask63 = 0x1e8, Mask31 = 0x1f0, Mask15 = 0x1f8;

    /// <summary>Constant: the bits of a distance from the stack's page that an aligned stack slot in that page has not.</summary>
    public const int StackSlotMask = 0x208;

    /// <summary>Byte: not zero when a vector register may have something in bits 255:128.</summary>
    public const int WideVectors = 0x200;

    /// <summary>Byte: not zero when one of zmm0-15 may have something in bits 511:256; counts only while not <see cref="Sleeping"/>.</summary>
    public const int UpperHalves = 0x201;

    /// <summary>
    /// 2 bytes: not zero while all state beyond AVX (zmm16-31, upper halves, k0-7) is zero, neither kept here nor in host registers.
    /// Translated code that uses it wakes it first.
    /// </summary>
    public const int Sleeping = 0x202;

    /// <summary>Byte: state beyond AVX was not all zero when translated code was left last.</summary>
    public const int BeyondAvx = 0x204;

    /// <summary>Host addresses of the other groups.</summary>
    private const int OtherGroupSlots = 0x210;
    public const int GroupSlots = 7;

    /// <summary>Offset of the host address of the n-th group of a block.</summary>
    public static int GroupSlot(int n) => n < NearGroupSlots ? FirstGroupSlots + 8 * n : OtherGroupSlots + 8 * (n - NearGroupSlots);

    public const int Spill1 = 0x238;

    public const int HeadBytes = 0x240;

    /// <summary>XSAVE image (legacy area, header) used to read and write the x87 state; 64-byte aligned.</summary>
    public const int Xsave = HeadBytes;

    /// <summary>An operand in two pages: where its parts lie on the host, their lengths, its copy (<see cref="Bounce"/>).</summary>
    public const int SplitHost0 = 0x800, SplitHost1 = 0x808, SplitBytes0 = 0x810, SplitBytes1 = 0x818, SplitCopy = 0x820;

    /// <summary>Registers and flags that a routine keeps while it works; one at a time.</summary>
    public const int KeptRax = 0x828, KeptRdx = 0x830, KeptRsi = 0x838, KeptRdi = 0x840, KeptFlags = 0x848;

    /// <summary>Constant <see cref="Jump2Mask"/>.</summary>
    public const int Jump2MaskSlot = 0x858;

    /// <summary>Constant 0xfff: the bits of an address that are its place in the page.</summary>
    public const int PageOffsetMask = 0x850;

    /// <summary>Constant: the bits that 4 * frame does not have, when there are fewer than <see cref="MostCodeFrames"/>.</summary>
    public const int NoFrameMaskSlot = 0x8d8;
    public const ulong NoFrameMask = ~(4UL * MostCodeFrames - 1);

    /// <summary>What the routines for soft TLB misses keep besides, and how often they filled an entry.</summary>
    public const int FillTemp0 = 0x880, FillTemp1 = 0x888, Fills = 0x898, CodePageFills = 0x8d0;

    /// <summary>What those routines walk: first address above the hypervisor's, number of RAM frames, where they begin, their flags.</summary>
    public const int HoleEnd = 0x8a0, RamFrames = 0x8a8, FramesBase = 0x8b0, FrameFlagBytes = 0x8b8;

    /// <summary>Host addresses of the top tables; 0 when such a table is not RAM.</summary>
    private const int KernelRootTable = 0x8c0, UserRootTable = 0x8c8;

    public static int RootOf(bool kernel) => kernel ? KernelRootTable : UserRootTable;

    /// <summary>Copy of an operand that crosses a page or lies in a code page.</summary>
    public const int Bounce = 0x1000;
    public const int BounceBytes = 0x1000;

    /// <summary>zmm0-31, 64 bytes each, of which those that the guest does not use are not kept up to date.</summary>
    private const int Vectors = 0x2000;

    /// <summary>k0-7, 8 bytes each.</summary>
    private const int Opmasks = Vectors + 32 * 64;

    public static int Zmm(int n) => Vectors + n * 64;

    public static int Opmask(int n) => Opmasks + n * 8;

    public const int KernelRead = 0x3000;
    public const int KernelWrite = KernelRead + TlbTableBytes;
    public const int UserRead = KernelWrite + TlbTableBytes;
    public const int UserWrite = UserRead + TlbTableBytes;
    public const int KernelJumps = UserWrite + TlbTableBytes;
    public const int UserJumps = KernelJumps + JumpTableBytes;
    public const int KernelJumps2 = UserJumps + JumpTableBytes;
    public const int UserJumps2 = KernelJumps2 + JumpTable2Bytes;

    /// <summary>
    /// Executable user pages by page number, 8 bytes each: 4 * frame - page address. As long as there are fewer frames than the table reaches
    /// over pages, address + entry - 4 * frame is zero for that page and frame only, even for an address that is up to 3 bytes off.
    /// </summary>
    public const int CodePages = UserJumps2 + JumpTable2Bytes;
    public const int CodePageEntries = 8192;

    /// <summary>An entry that goes with no page: address + entry is far from 4 * frame, and stays so when bits move up by 10.</summary>
    public const ulong EmptyCodePage = 1UL << 50;
    public const long MostCodeFrames = (long)CodePageEntries << 10;

    /// <summary>
    /// What was filled in the soft TLB since the last flush (<see cref="Memory.UsedEntries"/>), for each table apart for addresses below and
    /// above the hole; one more than <see cref="MostUsed"/>: too many to remember.
    /// </summary>
    private const int UsedLists = CodePages + CodePageEntries * 8;
    private const int UsedListBytes = UsedList + MostUsed * 2;
    public const int MostUsed = 1024, UsedList = 8;

    /// <summary>The same for <see cref="CodePages"/>.</summary>
    public const int UsedCodePages = UsedLists + 8 * UsedListBytes;
    public const int Bytes = UsedCodePages + UsedListBytes;

    public static int UsedEntries(int table, bool lower) =>
        UsedLists + ((table - KernelRead) / TlbTableBytes * 2 + (lower ? 0 : 1)) * UsedListBytes;

    public static int ReadTable(bool kernel) => kernel ? KernelRead : UserRead;

    public static int WriteTable(bool kernel) => kernel ? KernelWrite : UserWrite;

    public static int StackTagOf(bool kernel) => StackTag + (kernel ? 16 : 0);

    public static int StackDeltaOf(bool kernel) => StackDelta + (kernel ? 16 : 0);

    public static int JumpTable2(bool kernel) => kernel ? KernelJumps2 : UserJumps2;

    public static int JumpTable(bool kernel) => kernel ? KernelJumps : UserJumps;
}
