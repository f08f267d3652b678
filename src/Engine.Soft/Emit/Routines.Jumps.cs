using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>Where a jump goes on whose first-level jump-cache entry is not for the wanted address. Nothing here touches a flag.</summary>
internal sealed unsafe partial class Routines
{
    private void AssembleKernelJumpMiss(Assembler a)
    {
        a.not(r11);
        a.lea(rcx, __[rcx + r11 + 1]); // the wanted address
        a.mov(__qword_ptr[rsp + VcpuArea.Spill0], rdx);
        a.mov(__qword_ptr[rsp + VcpuArea.Spill1], rcx);
        a.mov(rdx, rcx);
        AskSecondLevel(a, kernel: true, out _);
    }

    private void AssembleUserJumpMiss(Assembler a)
    {
        Label other = a.CreateLabel(), unsure = a.CreateLabel(), known = a.CreateLabel();
        a.mov(__qword_ptr[rsp + VcpuArea.Spill0], rdx);
        a.mov(__qword_ptr[rsp + VcpuArea.Spill1], rcx);
        // When the first level does know the address, its page is not known any more, or the block is retired.
        a.pext(r11d, ecx, __dword_ptr[rsp + VcpuArea.JumpMaskNow]);
        a.mov(rdx, __qword_ptr[rsp + r11 * 8 + (VcpuArea.UserJumps + VcpuArea.JumpTag)]);
        a.lea(rcx, __[rcx + rdx]);
        a.jrcxz(unsure);
        a.jmp(other);
        a.Label(ref unsure);
        Label find = a.CreateLabel(), leave;
        a.jmp(find);
        a.Label(ref other);
        a.mov(rcx, __qword_ptr[rsp + VcpuArea.Spill1]);
        a.pext(r11d, ecx, __dword_ptr[rsp + VcpuArea.CodePageMask]);
        a.mov(rdx, __qword_ptr[rsp + r11 * 8 + VcpuArea.CodePages]);
        a.lea(rdx, __[rdx + rcx]);
        a.pext(r11, rcx, __qword_ptr[rsp + VcpuArea.PageOffsetMask]);
        a.not(r11);
        a.lea(rdx, __[rdx + r11 + 1]); // 4 * frame, if the page is the one that is known
        a.not(r11);
        a.pext(rcx, rdx, __qword_ptr[rsp + VcpuArea.NoFrameMaskSlot]);
        a.jrcxz(known);
        a.jmp(find);
        a.Label(ref known);
        a.rorx(rdx, rdx, 64 - 10);
        a.lea(rdx, __[rdx + r11]); // frame * 4096 + place in it
        AskSecondLevel(a, kernel: false, out leave);
        a.Label(ref find);
        if (_inlineFills)
        {
            FindCodePage(a, leave);
        }
        else
        {
            a.jmp(leave);
        }
    }

    /// <summary>
    /// When the second level knows what RDX names, the first level takes the entry over and the jump goes there; else, at
    /// <paramref name="leave"/>, C# has to look. The wanted address is in spill slot 1, RDX in slot 0. Not while a kick is pending, which
    /// sends every look-up to entry 0: that one must never match.
    /// </summary>
    private void AskSecondLevel(Assembler a, bool kernel, out Label leave)
    {
        Label hit = a.CreateLabel(), quiet = a.CreateLabel(), kicked = a.CreateLabel();
        leave = a.CreateLabel();
        int first = VcpuArea.JumpTable(kernel), second = VcpuArea.JumpTable2(kernel);
        a.rorx(r11, rdx, VcpuArea.Jump2Shift);
        a.lea(r11, __[r11 + rdx]);
        a.pext(r11, r11, __qword_ptr[rsp + VcpuArea.Jump2MaskSlot]);
        a.lea(r11, __[r11 + r11]);
        a.mov(rcx, __qword_ptr[rsp + r11 * 8 + second]);
        a.lea(rcx, __[rcx + rdx]);
        a.jrcxz(hit);
        a.Label(ref leave);
        a.mov(rcx, __qword_ptr[rsp + VcpuArea.Spill1]);
        a.mov(rdx, __qword_ptr[rsp + VcpuArea.Spill0]);
        a.mov(r11d, 0);
        Leave(a, JumpMissMark);
        a.Label(ref hit);
        a.mov(ecx, __dword_ptr[rsp + VcpuArea.JumpMaskNow]);
        a.jrcxz(kicked);
        a.jmp(quiet);
        a.Label(ref kicked);
        a.jmp(leave);
        a.Label(ref quiet);
        a.mov(rdx, __qword_ptr[rsp + r11 * 8 + (second + 8)]);
        a.mov(rcx, __qword_ptr[rsp + VcpuArea.Spill1]);
        a.pext(r11d, ecx, __dword_ptr[rsp + VcpuArea.JumpMaskNow]);
        a.mov(rcx, r11);
        a.jrcxz(kicked); // kicked after all, or an address whose entry would be 0
        a.mov(rcx, __qword_ptr[rsp + VcpuArea.Spill1]);
        a.not(rcx);
        a.lea(rcx, __[rcx + 1]);
        a.mov(__qword_ptr[rsp + r11 * 8 + (first + VcpuArea.JumpTag)], rcx);
        a.mov(__qword_ptr[rsp + r11 * 8 + first], rdx);
        a.mov(rdx, __qword_ptr[rsp + VcpuArea.Spill0]);
        a.mov(rcx, __qword_ptr[rsp + VcpuArea.Spill1]);
        a.jmp(__qword_ptr[rsp + r11 * 8 + first]);
    }
}
