using Iced.Intel;
using Ryokan.GuestMemory;
using Ryokan.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>
/// Soft TLB misses that need no C#: the page is present, everything on the way to it is marked accessed, and, for a write entry, it is dirty
/// and holds no code. That is what most misses find; all others leave as before. The twin of <see cref="Memory.PageWalker"/> and of
/// the vCPU's FillTlb.
/// </summary>
internal sealed unsafe partial class Routines
{
    private readonly byte*[] _fills = new byte*[8];

    /// <summary>
    /// Called by the stub of a check that missed, with the site's word on the stack and a jump behind the call that goes back to the check.
    /// Fills the entry and returns; or else leaves at the site with everything as it was. Without <paramref name="flagsLive"/> TEMP0 is
    /// the address plus the entry's tag and TEMP1 the entry's place in the table; with it the address is in spill slot 1, and flags are kept.
    /// </summary>
    public byte* Fill(bool kernel, bool write, bool flagsLive) => _fills[(kernel ? 1 : 0) | (write ? 2 : 0) | (flagsLive ? 4 : 0)];

    private readonly byte*[] _stringFills = new byte*[4];

    private byte* StringFill(bool kernel, bool write) => _stringFills[(kernel ? 1 : 0) | (write ? 2 : 0)];

    private void PlaceFills()
    {
        for (int n = 0; n < _stringFills.Length; n++)
        {
            bool kernel = (n & 1) != 0, write = (n & 2) != 0;
            _stringFills[n] = Place("fill-string", a => AssembleFillForString(a, kernel, write));
        }
        for (int n = 0; n < _fills.Length; n++)
        {
            bool kernel = (n & 1) != 0, write = (n & 2) != 0, flagsLive = (n & 4) != 0;
            _fills[n] = Place(kernel ? "fill-kernel" : "fill-user", a => AssembleFill(a, kernel, write, flagsLive));
        }
    }

    /// <param name="depth">bytes on the stack above the vCPU's block</param>
    private static AssemblerMemoryOperand Slot(int depth, int offset) => __qword_ptr[rsp + (depth + offset)];

    private void AssembleFill(Assembler a, bool kernel, bool write, bool flagsLive)
    {
        const int depth = 2 * Called; // the site's word as well
        Label leave = a.CreateLabel(), returned = a.CreateLabel();
        int table = write ? VcpuArea.WriteTable(kernel) : VcpuArea.ReadTable(kernel);
        Keep(a, depth, flagsLive);
        a.mov(Slot(depth, VcpuArea.FillTemp0), rcx);
        a.mov(Slot(depth, VcpuArea.FillTemp1), r11);
        if (flagsLive)
        {
            a.mov(rcx, Slot(depth, VcpuArea.Spill1));
        }
        else
        {
            a.sub(rcx, __qword_ptr[rsp + r11 + (depth + table)]);
        }
        FillEntry(a, depth, kernel, write, alone: false, leave);
        Restore(a, depth, flagsLive);
        a.ret(Called); // takes the site's word along
        a.Label(ref leave);
        Restore(a, depth, flagsLive);
        a.lea(rcx, __[returned]);
        a.mov(__qword_ptr[rsp], rcx);
        a.ret(); // for each call a return
        a.Label(ref returned);
        a.mov(rcx, Slot(Called, VcpuArea.FillTemp0));
        a.mov(r11, Slot(Called, VcpuArea.FillTemp1));
        a.jmp((ulong)Exit);
    }

    /// <summary>For the string routines: the entry of the address in RCX. Returns RCX = 1, or 0 when it could not be filled. R11 and flags are lost.</summary>
    private static void AssembleFillForString(Assembler a, bool kernel, bool write)
    {
        const int depth = 2 * Called; // a string routine called
        Label leave = a.CreateLabel();
        Keep(a, depth, flags: false);
        FillEntry(a, depth, kernel, write, alone: true, leave);
        Restore(a, depth, flags: false);
        a.mov(ecx, 1);
        a.ret();
        a.Label(ref leave);
        Restore(a, depth, flags: false);
        a.xor(ecx, ecx);
        a.ret();
    }

    /// <summary>
    /// Fills the entry of the address in RCX. Then its page is in RSI, the place of the entry in RDX; uses RAX, RDI and R11 too. Not
    /// <paramref name="alone"/>: also the other table's, when that may be. A copy must not do so: its source and its target may have
    /// entries of one number, and would take them from each other for ever.
    /// </summary>
    private static void FillEntry(Assembler a, int depth, bool kernel, bool write, bool alone, Label leave)
    {
        Label reads = a.CreateLabel();
        int table = write ? VcpuArea.WriteTable(kernel) : VcpuArea.ReadTable(kernel);
        RequireOrdinary(a, depth, kernel, leave);
        PlaceOfEntry(a, edx, ecx);
        a.mov(rsi, rcx);
        a.and(rsi, -GuestFrames.PageSize);
        a.mov(rax, __qword_ptr[rsp + rdx + (depth + table)]);
        a.add(rax, rsi);
        a.jz(leave); // it is there: the operand crosses the page
        Walk(a, depth, kernel, execute: false, leave);
        // R11: bits that all levels have; RCX: the last entry; RAX: the frame; EDI: what is known of it
        a.shl(rax, 12);
        a.add(rax, Slot(depth, VcpuArea.FramesBase));
        if (alone && !write)
        {
            SetEntry(a, depth, table, kernel);
            a.inc(Slot(depth, VcpuArea.Fills));
            return;
        }
        Label notOpen = write ? leave : reads;
        a.test(r11d, (int)PageTableEntry.Writable);
        a.jz(notOpen);
        a.test(ecx, (int)PageTableEntry.Dirty);
        a.jz(notOpen);
        const int Announced = (int)(FrameFlags.WriteCached | FrameFlags.Dirty);
        Label open = a.CreateLabel();
        a.and(edi, (int)FrameFlags.Code | Announced);
        a.cmp(edi, Announced);
        if (write)
        {
            a.je(open);
            Announce(a, depth, Announced, leave);
        }
        else
        {
            a.jne(notOpen);
        }
        a.Label(ref open);
        SetEntry(a, depth, VcpuArea.WriteTable(kernel), kernel);
        if (!alone)
        {
            a.Label(ref reads);
            SetEntry(a, depth, VcpuArea.ReadTable(kernel), kernel);
        }
        a.inc(Slot(depth, VcpuArea.Fills));
    }

    /// <summary>
    /// Marks the frame that lies at RAX as written, then looks whether it holds code, in this order: <c>SoftVcpu.TryOpenForWrite</c>. Uses RDI.
    /// </summary>
    private static void Announce(Assembler a, int depth, int flags, Label isCode)
    {
        a.mov(rdi, rax);
        a.sub(rdi, Slot(depth, VcpuArea.FramesBase));
        a.shr(rdi, 12);
        a.add(rdi, Slot(depth, VcpuArea.FrameFlagBytes));
        a.@lock.or(__byte_ptr[rdi], flags); // a barrier as well
        a.test(__byte_ptr[rdi], (int)FrameFlags.Code);
        a.jnz(isCode);
    }

    /// <summary>Below the hole, or, in kernel mode, above what belongs to the hypervisor.</summary>
    private static void RequireOrdinary(Assembler a, int depth, bool kernel, Label leave)
    {
        a.mov(rax, rcx);
        a.shr(rax, 47);
        if (!kernel)
        {
            a.jnz(leave);
            return;
        }
        Label lower = a.CreateLabel();
        a.jz(lower);
        a.cmp(rcx, Slot(depth, VcpuArea.HoleEnd));
        a.jb(leave);
        a.Label(ref lower);
    }

    /// <summary>
    /// Four levels (Intel SDM vol. 3, 4.5) for the address in RCX, as long as everything is as it should be: RAX = the frame, EDI = its flags;
    /// to execute, RCX stays, else it becomes the last entry and R11 the bits that all have.
    /// </summary>
    private static void Walk(Assembler a, int depth, bool kernel, bool execute, Label leave)
    {
        a.mov(rdi, Slot(depth, VcpuArea.RootOf(kernel)));
        a.test(rdi, rdi);
        a.jz(leave);
        for (int level = 4; level > 0; level--)
        {
            a.mov(rax, rcx);
            a.shr(rax, (byte)(12 + 9 * (level - 1)));
            a.and(eax, 511);
            a.mov(rax, __qword_ptr[rdi + rax * 8]);
            a.mov(edi, eax);
            a.not(edi);
            a.test(edi, (int)(PageTableEntry.Present | PageTableEntry.Accessed));
            a.jnz(leave);
            if (execute)
            {
                a.test(rax, rax);
                a.js(leave); // no-execute is the sign
            }
            if (level is 2 or 3)
            {
                a.test(eax, (int)PageTableEntry.PageSize);
                a.jnz(leave);
            }
            if (!execute && level == 4)
            {
                a.mov(r11d, eax);
            }
            else if (!execute)
            {
                a.and(r11d, eax);
            }
            if (!execute && level == 1)
            {
                a.mov(ecx, eax);
            }
            a.shl(rax, 12);
            a.shr(rax, 24); // bits 12 to 51
            a.cmp(rax, Slot(depth, VcpuArea.RamFrames));
            a.jae(leave);
            if (level > 1)
            {
                a.mov(rdi, rax);
                a.shl(rdi, 12);
                a.add(rdi, Slot(depth, VcpuArea.FramesBase));
            }
        }
        a.mov(rdi, Slot(depth, VcpuArea.FrameFlagBytes));
        a.movzx(edi, __byte_ptr[rdi + rax]);
        a.test(edi, (int)FrameFlags.Absent);
        a.jnz(leave);
    }

    /// <summary>
    /// Makes the entry at place RDX that of page RSI, which lies at RAX, and remembers that it is in use: <see cref="Memory.TlbTable.Set"/>. Uses
    /// RCX and RDI.
    /// </summary>
    private static void SetEntry(Assembler a, int depth, int table, bool kernel)
    {
        Label set = a.CreateLabel();
        a.mov(rcx, __qword_ptr[rsp + rdx + (depth + table)]);
        if (kernel)
        {
            Label upper = a.CreateLabel(), setUpper = a.CreateLabel();
            a.test(rsi, rsi);
            a.js(upper);
            AddIfLower(a, depth, table, set);
            a.jmp(set);
            a.Label(ref upper);
            a.test(rcx, rcx); // a tag of the upper half is above 0, but the empty one is not
            a.jg(setUpper);
            NumberOfEntry(a);
            AddUsed(a, depth, VcpuArea.UsedEntries(table, lower: false), di, setUpper);
            a.Label(ref setUpper);
            a.nop();
        }
        else
        {
            AddIfLower(a, depth, table, set);
        }
        a.Label(ref set);
        a.mov(rcx, rsi);
        a.neg(rcx);
        a.mov(__qword_ptr[rsp + rdx + (depth + table)], rcx);
        a.mov(__qword_ptr[rsp + rdx + (depth + table + VcpuArea.TlbHost)], rax);
    }

    /// <summary>A tag of the lower half is 0 or below it, but for the empty one, the least of all.</summary>
    private static void AddIfLower(Assembler a, int depth, int table, Label set)
    {
        a.dec(rcx);
        a.test(rcx, rcx);
        a.js(set);
        NumberOfEntry(a);
        AddUsed(a, depth, VcpuArea.UsedEntries(table, lower: true), di, set);
    }

    /// <summary>EDI = number of the entry at place RDX.</summary>
    private static void NumberOfEntry(Assembler a)
    {
        a.mov(edi, edx);
        a.shr(edi, VcpuArea.TlbEntryShift);
    }

    /// <summary>Remembers the entry whose number is in a 16-bit register. Uses RCX.</summary>
    private static void AddUsed(Assembler a, int depth, int used, AssemblerRegister16 entry, Label done)
    {
        Label many = a.CreateLabel();
        a.mov(ecx, __dword_ptr[rsp + (depth + used)]);
        a.cmp(ecx, VcpuArea.MostUsed);
        a.ja(done);
        a.je(many);
        a.mov(__word_ptr[rsp + rcx * 2 + (depth + used + VcpuArea.UsedList)], entry);
        a.Label(ref many);
        a.inc(ecx);
        a.mov(__dword_ptr[rsp + (depth + used)], ecx);
    }

    /// <summary>
    /// For a jump whose page <see cref="VcpuArea.CodePages"/> does not know: looks it up for the address in spill slot 1, remembers it, and
    /// jumps again by way of the cache. When it is known all the same the block there is not the right one, or retired: on to
    /// <paramref name="leave"/>, as when the page is not plainly there. RDX is in spill slot 0; keeps flags.
    /// </summary>
    private static void FindCodePage(Assembler a, Label leave)
    {
        const int depth = 0;
        Label unknown = a.CreateLabel(), used = a.CreateLabel();
        a.mov(rdx, Slot(depth, VcpuArea.Spill0));
        Keep(a, depth, flags: true);
        a.mov(rcx, Slot(depth, VcpuArea.Spill1));
        RequireOrdinary(a, depth, kernel: false, unknown);
        Walk(a, depth, kernel: false, execute: true, unknown);
        a.mov(esi, ecx);
        a.shr(esi, 12);
        a.and(esi, VcpuArea.CodePageEntries - 1);
        a.and(rcx, -GuestFrames.PageSize);
        a.lea(rdx, __[rax * 4]);
        a.sub(rdx, rcx);
        a.mov(rdi, __qword_ptr[rsp + rsi * 8 + (depth + VcpuArea.CodePages)]);
        a.cmp(rdi, rdx);
        a.je(unknown);
        a.mov(rax, VcpuArea.EmptyCodePage);
        a.cmp(rdi, rax);
        a.jne(used);
        AddUsed(a, depth, VcpuArea.UsedCodePages, si, used);
        a.Label(ref used);
        a.mov(__qword_ptr[rsp + rsi * 8 + (depth + VcpuArea.CodePages)], rdx);
        a.inc(Slot(depth, VcpuArea.CodePageFills));
        Restore(a, depth, flags: true);
        a.mov(rcx, Slot(depth, VcpuArea.Spill1));
        a.pext(r11d, ecx, __dword_ptr[rsp + (depth + VcpuArea.JumpMaskNow)]);
        a.jmp(__qword_ptr[rsp + r11 * 8 + VcpuArea.JumpTable(kernel: false)]);
        a.Label(ref unknown);
        Restore(a, depth, flags: true);
        a.jmp(leave);
    }
}
