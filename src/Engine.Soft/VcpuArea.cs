using System.Runtime.InteropServices;
using Ryokan.Engine;

namespace Ryokan.Engine.Soft;

/// <summary>
/// The memory block of one vCPU that generated code reaches from host RSP. Below it lies a real stack
/// (signals, calls of stubs); RSP equals the block's address whenever guest instructions run.
/// All offsets that generated code uses are named here; <see cref="Head"/> is the C# view of the first part. What nearly every
/// translation uses lies within 128 bytes of RSP, where an operand's offset takes one byte: behind RSP, up to the fields of the first entry of
/// user code's soft TLB, and in front of it, in the 128 bytes that signals leave alone (System V ABI, AMD64 supplement, 3.2.2), of which
/// those next to RSP are left to what stubs and routines push: two words at most.
/// </summary>
internal static class VcpuArea
{
    public const int StackBytes = 256 << 10;

    /// <summary>
    /// Entries of each soft TLB table: {tag, host page}, 8 bytes each; the tag is minus the page's address. The entry of a number in the table for
    /// reads is followed by that in the table for writes, and both lie in one cache line.
    /// </summary>
    public const int TlbEntries = 4096;

    /// <summary>Distance of an entry from that of the number before in the same table. Code has this times the number in a register.</summary>
    public const int TlbEntryBytes = 1 << TlbEntryShift;
    public const int TlbEntryShift = 5;

    /// <summary>Distance of an entry's host page from its tag, and of an entry for writes from the one for reads.</summary>
    public const int TlbHost = 8;
    private const int TlbWrite = 16;

    /// <summary>Both tables of a mode.</summary>
    private const int TlbBytes = TlbEntries * TlbEntryBytes;

    /// <summary>
    /// By how much an address is rotated right so that the bits in <see cref="TlbMaskBits"/> are its entry's number * <see cref="TlbEntryBytes"/>.
    /// </summary>
    public const int TlbRotation = 12 - TlbEntryShift;
    public const int TlbMaskBits = (TlbEntries - 1) << TlbEntryShift;

    /// <summary>
    /// Entries of each jump cache: first the code of all, then minus their guest addresses; 8 bytes each. The code of an empty entry is a
    /// routine.
    /// </summary>
    public const int JumpEntries = 32768;

    /// <summary>Distance of an entry's minus guest address from its code.</summary>
    public const int JumpTag = JumpEntries * 8;
    public const int JumpTableBytes = JumpEntries * 16;

    /// <summary>Bits of a guest address that select a jump-cache entry (by PEXT).</summary>
    public const uint JumpMask = 0x1fffc;

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

    /// <summary>The C# view of the block's head, from <see cref="HeadStart"/> on.</summary>
    [StructLayout(LayoutKind.Explicit, Size = HeadEnd - HeadStart)]
    public unsafe struct Head
    {
        [FieldOffset(RegistersAt - HeadStart)] public VcpuRegisters Registers;
        [FieldOffset(KickFlag - HeadStart)] public int Kick;
        [FieldOffset(InGuestFlag - HeadStart)] public int InGuest;
        [FieldOffset(JumpMaskNow - HeadStart)] public uint JumpMaskNow_;
        [FieldOffset(CodeBase - HeadStart)] public ulong CodeBase_;
        [FieldOffset(ExitWord - HeadStart)] public uint ExitWord_;
        [FieldOffset(Temp0Save - HeadStart)] public ulong Temp0;
        [FieldOffset(Temp1Save - HeadStart)] public ulong Temp1;
        [FieldOffset(FaultPc - HeadStart)] public byte* FaultPc_;
        [FieldOffset(FaultSignal - HeadStart)] public int FaultSignal_;
        [FieldOffset(FaultVector - HeadStart)] public int FaultVector_;
        [FieldOffset(GuestMxcsr - HeadStart)] public uint GuestMxcsr_;
        [FieldOffset(HostMxcsr - HeadStart)] public uint HostMxcsr_;
        [FieldOffset(Target - HeadStart)] public byte* Target_;
        [FieldOffset(Borrowed - HeadStart)] public ulong Borrowed_;
        [FieldOffset(Mask63 - HeadStart)] public ulong Mask63_;
        [FieldOffset(Mask31 - HeadStart)] public ulong Mask31_;
        [FieldOffset(Mask15 - HeadStart)] public ulong Mask15_;
        [FieldOffset(HighMask - HeadStart)] public ulong HighMask_;
        [FieldOffset(TlbMask - HeadStart)] public uint TlbMask_;
        [FieldOffset(CodePageMask - HeadStart)] public uint CodePageMask_;
        [FieldOffset(StackSlotMask - HeadStart)] public ulong StackSlotMask_;
        [FieldOffset(WideVectors - HeadStart)] public byte WideVectors_;
        [FieldOffset(UpperHalves - HeadStart)] public byte UpperHalves_;
        [FieldOffset(Sleeping - HeadStart)] public ushort Sleeping_;
        [FieldOffset(BeyondAvx - HeadStart)] public byte BeyondAvx_;
        [FieldOffset(UserStackTag - HeadStart)] public ulong UserStackTag_;
        [FieldOffset(UserStackDelta - HeadStart)] public ulong UserStackDelta_;
        [FieldOffset(KernelStackTag - HeadStart)] public ulong KernelStackTag_;
        [FieldOffset(KernelStackDelta - HeadStart)] public ulong KernelStackDelta_;
    }

    /// <summary>Where <see cref="Head"/> begins: in front of RSP.</summary>
    public const int HeadStart = -0x80;

    /// <summary>Minus the address of the stack's page, and host - guest address.</summary>
    private const int KernelStackTag = -0x80, KernelStackDelta = -0x78;

    /// <summary>Host addresses of the groups of the block that runs but for the first.</summary>
    private const int OtherGroupSlots = -0x70;
    public const int GroupSlots = 7;

    public const int Spill1 = -0x48, Spill2 = -0x40;

    /// <summary>Constant: the bits of a distance from the stack's page that an aligned stack slot in that page has not.</summary>
    public const int StackSlotMask = -0x38;

    /// <summary>4 bytes each, as <see cref="JumpMaskNow"/> and <see cref="KickFlag"/> are, which other threads write.</summary>
    public const int TlbMask = 0, CodePageMask = 4;

    public const int CodeBase = 8, Spill0 = 0x10, HighMask = 0x18, JumpMaskNow = 0x20, KickFlag = 0x24;

    /// <summary>As for the kernel above.</summary>
    private const int UserStackTag = 0x28, UserStackDelta = 0x30;

    /// <summary>Host addresses of the first groups.</summary>
    private const int FirstGroupSlots = 0x38, NearGroupSlots = 2;

    /// <summary>Guest R9-R11 while translated code runs; elsewhere they are in the register file as all others.</summary>
    public const int HighRegisters = 0x48;

    /// <summary>The first entry's four fields are reached with an offset of one byte.</summary>
    private const int UserTlb = 0x60;

    /// <summary>Where the rest begins, behind the soft TLB of user code; what is in front of it in its page is taken.</summary>
    private const int Far = TlbBytes;

    public const int InGuestFlag = Far + 0x70;

    /// <summary>The contract's register file.</summary>
    public const int RegistersAt = Far + 0x80;
    public const int RflagsOffset = RegistersAt + 136, FsBase = RegistersAt + 144, GsBase = RegistersAt + 152;
    public const int EsBase = RegistersAt + 160, DsBase = RegistersAt + 184, Selectors = RegistersAt + 192;
    public const int Xcr0 = RegistersAt + 208;

    public const int ExitWord = Far + 0x180, Temp0Save = Far + 0x188, Temp1Save = Far + 0x190, FaultPc = Far + 0x198, FaultSignal = Far + 0x1a0, FaultVector = Far + 0x1a4;
    public const int HostRsp = Far + 0x1a8, GuestMxcsr = Far + 0x1b0, HostMxcsr = Far + 0x1b4, Target = Far + 0x1b8;
    public const int Borrowed = Far + 0x1c0, Borrowed1 = Far + 0x1c8, Borrowed2 = Far + 0x1d0, CallTarget = Far + 0x1d8;
    public const int Mask63 = Far + 0x1e8, Mask31 = Far + 0x1f0, Mask15 = Far + 0x1f8;

    /// <summary>Byte: not zero when a vector register may have something in bits 255:128.</summary>
    public const int WideVectors = Far + 0x200;

    /// <summary>Byte: not zero when one of zmm0-15 may have something in bits 511:256; counts only while not <see cref="Sleeping"/>.</summary>
    public const int UpperHalves = Far + 0x201;

    /// <summary>
    /// 2 bytes: not zero while all state beyond AVX (zmm16-31, upper halves, k0-7) is zero, neither kept here nor in host registers.
    /// Translated code that uses it wakes it first.
    /// </summary>
    public const int Sleeping = Far + 0x202;

    /// <summary>Byte: state beyond AVX was not all zero when translated code was left last.</summary>
    public const int BeyondAvx = Far + 0x204;

    /// <summary>Offset of the host address of the n-th group of a block.</summary>
    public static int GroupSlot(int n) => n < NearGroupSlots ? FirstGroupSlots + 8 * n : OtherGroupSlots + 8 * (n - NearGroupSlots);

    public const int HeadEnd = Far + 0x240;

    /// <summary>XSAVE image (legacy area, header) used to read and write the x87 state; 64-byte aligned.</summary>
    public const int Xsave = HeadEnd;

    /// <summary>An operand in two pages: where its parts lie on the host, their lengths, its copy (<see cref="Bounce"/>).</summary>
    public const int SplitHost0 = Far + 0x800, SplitHost1 = Far + 0x808, SplitBytes0 = Far + 0x810, SplitBytes1 = Far + 0x818, SplitCopy = Far + 0x820;

    /// <summary>Registers and flags that a routine keeps while it works; one at a time.</summary>
    public const int KeptRax = Far + 0x828, KeptRdx = Far + 0x830, KeptRsi = Far + 0x838, KeptRdi = Far + 0x840, KeptFlags = Far + 0x848;

    /// <summary>Constant <see cref="Jump2Mask"/>.</summary>
    public const int Jump2MaskSlot = Far + 0x858;

    /// <summary>Constant 0xfff: the bits of an address that are its place in the page.</summary>
    public const int PageOffsetMask = Far + 0x850;

    /// <summary>Constant: the bits that 4 * frame does not have, when there are fewer than <see cref="MostCodeFrames"/>.</summary>
    public const int NoFrameMaskSlot = Far + 0x8d8;
    public const ulong NoFrameMask = ~(4UL * MostCodeFrames - 1);

    /// <summary>What the routines for soft TLB misses keep besides, and how often they filled an entry.</summary>
    public const int FillTemp0 = Far + 0x880, FillTemp1 = Far + 0x888, Fills = Far + 0x898, CodePageFills = Far + 0x8d0;

    /// <summary>What those routines walk: first address above the hypervisor's, number of RAM frames, where they begin, their flags.</summary>
    public const int HoleEnd = Far + 0x8a0, RamFrames = Far + 0x8a8, FramesBase = Far + 0x8b0, FrameFlagBytes = Far + 0x8b8;

    /// <summary>Host addresses of the top tables; 0 when such a table is not RAM.</summary>
    private const int KernelRootTable = Far + 0x8c0, UserRootTable = Far + 0x8c8;

    public static int RootOf(bool kernel) => kernel ? KernelRootTable : UserRootTable;

    /// <summary>Copy of an operand that crosses a page or lies in a code page.</summary>
    public const int Bounce = Far + 0x1000;
    public const int BounceBytes = 0x1000;

    /// <summary>zmm0-31, 64 bytes each, of which those that the guest does not use are not kept up to date.</summary>
    private const int Vectors = Far + 0x2000;

    /// <summary>k0-7, 8 bytes each.</summary>
    private const int Opmasks = Vectors + 32 * 64;

    public static int Zmm(int n) => Vectors + n * 64;

    public static int Opmask(int n) => Opmasks + n * 8;

    private const int KernelTlb = Far + 0x3000;

    /// <summary>The tables of the soft TLB, each by its first entry.</summary>
    public const int KernelRead = KernelTlb, KernelWrite = KernelTlb + TlbWrite, UserRead = UserTlb, UserWrite = UserTlb + TlbWrite;
    public const int TlbTables = 4;

    public const int KernelJumps = KernelTlb + TlbBytes;
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
    public const int UsedCodePages = UsedLists + 2 * TlbTables * UsedListBytes;
    public const int Bytes = UsedCodePages + UsedListBytes;

    public static int UsedEntries(int table, bool lower) => UsedLists + (TlbNumber(table) * 2 + (lower ? 0 : 1)) * UsedListBytes;

    /// <summary>Number of a soft TLB table.</summary>
    public static int TlbNumber(int table) => table switch
    {
        KernelRead => 0,
        KernelWrite => 1,
        UserRead => 2,
        _ => 3,
    };

    public static int ReadTable(bool kernel) => kernel ? KernelRead : UserRead;

    public static int WriteTable(bool kernel) => kernel ? KernelWrite : UserWrite;

    public static int StackTagOf(bool kernel) => kernel ? KernelStackTag : UserStackTag;

    public static int StackDeltaOf(bool kernel) => kernel ? KernelStackDelta : UserStackDelta;

    public static int JumpTable2(bool kernel) => kernel ? KernelJumps2 : UserJumps2;

    public static int JumpTable(bool kernel) => kernel ? KernelJumps : UserJumps;
}
