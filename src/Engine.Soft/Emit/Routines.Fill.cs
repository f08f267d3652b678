using Iced.Intel;
using Ryokan.GuestMemory;
using Ryokan.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>
/// Soft TLB misses that need no C#: the page is present, everything on the way to it is marked accessed, and, for a write entry, it is dirty
/// and announced as written. That is what most misses find; all others leave as before. The twin of <see cref="Memory.PageWalker"/> and of
/// the vCPU's FillTlb.
/// </summary>
internal sealed unsafe partial class Routines
{
    private readonly byte*[] _fills = new byte*[8];

    /// <summary>
    /// Called by the stub of a check that missed, as <see cref="Exit"/> is, with a jump behind the site's word that goes back to the check.
    /// Fills the entry and goes there; or else leaves at the site with everything as it was. Without <paramref name="flagsLive"/> TEMP0 is
    /// the address plus the entry's tag and TEMP1 the entry's number; with it the address is in spill slot 1, and flags are kept.
    /// </summary>
    public byte* Fill(bool kernel, bool write, bool flagsLive) => _fills[(kernel ? 1 : 0) | (write ? 2 : 0) | (flagsLive ? 4 : 0)];

    private void PlaceFills()
    {
        for (int n = 0; n < _fills.Length; n++)
        {
            bool kernel = (n & 1) != 0, write = (n & 2) != 0, flagsLive = (n & 4) != 0;
            _fills[n] = Place(a => AssembleFill(a, kernel, write, flagsLive));
        }
    }

    private static AssemblerMemoryOperand Slot(int offset) => __qword_ptr[rsp + (Called + offset)];

    /// <summary>Address: RCX; its page: RSI; number of the entry: RDX; what all entries allow: R11.</summary>
    private void AssembleFill(Assembler a, bool kernel, bool write, bool flagsLive)
    {
        Label leave = a.CreateLabel(), reads = a.CreateLabel();
        int table = write ? VcpuArea.WriteTable(kernel) : VcpuArea.ReadTable(kernel);
        a.mov(Slot(VcpuArea.FillRax), rax);
        a.mov(Slot(VcpuArea.FillRdx), rdx);
        a.mov(Slot(VcpuArea.FillRsi), rsi);
        a.mov(Slot(VcpuArea.FillRdi), rdi);
        a.mov(Slot(VcpuArea.FillTemp0), rcx);
        a.mov(Slot(VcpuArea.FillTemp1), r11);
        if (flagsLive)
        {
            a.lahf();
            a.seto(al);
            a.mov(__dword_ptr[rsp + (Called + VcpuArea.FillFlags)], eax);
            a.mov(rcx, Slot(VcpuArea.Spill1));
        }
        else
        {
            a.sub(rcx, __qword_ptr[rsp + r11 * 8 + (Called + table)]);
        }
        RequireOrdinary(a, kernel, leave);
        a.mov(edx, ecx);
        a.shr(edx, 12);
        a.and(edx, VcpuArea.TlbEntries - 1);
        a.mov(rsi, rcx);
        a.and(rsi, -GuestFrames.PageSize);
        a.mov(rax, __qword_ptr[rsp + rdx * 8 + (Called + table)]);
        a.add(rax, rsi);
        a.jz(leave); // it is there: the operand crosses the page
        Walk(a, kernel, leave);
        // R11: bits that all levels have; RCX: the last entry; RAX: the frame; EDI: what is known of it
        Label notOpen = write ? leave : reads;
        a.test(r11d, (int)PageTableEntry.Writable);
        a.jz(notOpen);
        a.test(ecx, (int)PageTableEntry.Dirty);
        a.jz(notOpen);
        const int Announced = (int)(FrameFlags.WriteCached | FrameFlags.Dirty);
        a.and(edi, (int)FrameFlags.Code | Announced);
        a.cmp(edi, Announced);
        a.jne(notOpen);
        SetEntry(a, VcpuArea.WriteTable(kernel), kernel);
        a.Label(ref reads);
        SetEntry(a, VcpuArea.ReadTable(kernel), kernel);
        a.inc(Slot(VcpuArea.Fills));
        Restore(a, flagsLive);
        a.pop(rcx);
        a.lea(rcx, __[rcx + 4]); // behind the site's word
        a.jmp(rcx);
        a.Label(ref leave);
        Restore(a, flagsLive);
        a.mov(rcx, Slot(VcpuArea.FillTemp0));
        a.mov(r11, Slot(VcpuArea.FillTemp1));
        a.jmp((ulong)Exit);
    }

    private static void Restore(Assembler a, bool flagsLive)
    {
        if (flagsLive)
        {
            a.mov(eax, __dword_ptr[rsp + (Called + VcpuArea.FillFlags)]);
            a.add(al, 0x7f);
            a.sahf();
        }
        a.mov(rax, Slot(VcpuArea.FillRax));
        a.mov(rdx, Slot(VcpuArea.FillRdx));
        a.mov(rsi, Slot(VcpuArea.FillRsi));
        a.mov(rdi, Slot(VcpuArea.FillRdi));
    }

    /// <summary>Below the hole, or, in kernel mode, above what belongs to the hypervisor.</summary>
    private static void RequireOrdinary(Assembler a, bool kernel, Label leave)
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
        a.cmp(rcx, Slot(VcpuArea.HoleEnd));
        a.jb(leave);
        a.Label(ref lower);
    }

    /// <summary>Four levels (Intel SDM vol. 3, 4.5), as long as everything is as it should be.</summary>
    private static void Walk(Assembler a, bool kernel, Label leave)
    {
        a.mov(rdi, Slot(VcpuArea.RootOf(kernel)));
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
            if (level is 2 or 3)
            {
                a.test(eax, (int)PageTableEntry.PageSize);
                a.jnz(leave);
            }
            if (level == 4)
            {
                a.mov(r11d, eax);
            }
            else
            {
                a.and(r11d, eax);
            }
            if (level == 1)
            {
                a.mov(ecx, eax);
            }
            a.shl(rax, 12);
            a.shr(rax, 24); // bits 12 to 51
            a.cmp(rax, Slot(VcpuArea.RamFrames));
            a.jae(leave);
            if (level > 1)
            {
                a.mov(rdi, rax);
                a.shl(rdi, 12);
                a.add(rdi, Slot(VcpuArea.FramesBase));
            }
        }
        a.mov(rdi, Slot(VcpuArea.FrameFlagBytes));
        a.movzx(edi, __byte_ptr[rdi + rax]);
        a.test(edi, (int)FrameFlags.Absent);
        a.jnz(leave);
        a.shl(rax, 12);
        a.add(rax, Slot(VcpuArea.FramesBase));
    }

    /// <summary>Makes RDX the entry of page RSI, which lies at RAX, and remembers that it is in use: <see cref="Memory.TlbTable.Set"/>. Uses RCX, RDI.</summary>
    private static void SetEntry(Assembler a, int table, bool kernel)
    {
        Label set = a.CreateLabel();
        a.mov(rcx, __qword_ptr[rsp + rdx * 8 + (Called + table)]);
        if (kernel)
        {
            Label upper = a.CreateLabel(), setUpper = a.CreateLabel();
            a.test(rsi, rsi);
            a.js(upper);
            AddIfLower(a, table, set);
            a.jmp(set);
            a.Label(ref upper);
            a.test(rcx, rcx); // a tag of the upper half is above 0, but the empty one is not
            a.jg(setUpper);
            AddUsed(a, VcpuArea.UsedEntries(table, lower: false), setUpper);
            a.Label(ref setUpper);
            a.nop();
        }
        else
        {
            AddIfLower(a, table, set);
        }
        a.Label(ref set);
        a.mov(rcx, rsi);
        a.neg(rcx);
        a.mov(__qword_ptr[rsp + rdx * 8 + (Called + table)], rcx);
        a.mov(__qword_ptr[rsp + rdx * 8 + (Called + table + VcpuArea.TlbHost)], rax);
    }

    /// <summary>A tag of the lower half is 0 or below it, but for the empty one, the least of all.</summary>
    private static void AddIfLower(Assembler a, int table, Label set)
    {
        a.dec(rcx);
        a.test(rcx, rcx);
        a.js(set);
        AddUsed(a, VcpuArea.UsedEntries(table, lower: true), set);
    }

    private static void AddUsed(Assembler a, int used, Label done)
    {
        Label many = a.CreateLabel();
        a.mov(edi, __dword_ptr[rsp + (Called + used)]);
        a.cmp(edi, VcpuArea.MostUsed);
        a.ja(done);
        a.je(many);
        a.mov(__word_ptr[rsp + rdi * 2 + (Called + used + VcpuArea.UsedList)], dx);
        a.Label(ref many);
        a.inc(edi);
        a.mov(__dword_ptr[rsp + (Called + used)], edi);
    }
}
