using System.Collections.Generic;
using System.Linq;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>Two address spaces share a page of code, and what was translated in one of them runs in the other.</summary>
public sealed class SharedPageTests
{
    private const ulong Next = AddressLayout.Code + AddressLayout.PageSize, Crossing = Next - 2;

    public static TheoryData<string> Variants => Bench.Variants;

    /// <summary>The second page of code is another one.</summary>
    private static readonly AddressLayout s_other = new(AddressLayout.StandardPages(PageAccess.Read | PageAccess.Execute)
        .Select(page => page.Va == Next ? page with { Frame = 30 } : page));

    /// <summary>All code lies 16 pages higher.</summary>
    private static readonly AddressLayout s_moved = new(AddressLayout.StandardPages(PageAccess.Read | PageAccess.Execute)
        .Select(page => page.Va - AddressLayout.Code < AddressLayout.CodePages * AddressLayout.PageSize
            ? page with { Va = page.Va + 16 * AddressLayout.PageSize } : page));

    [Theory]
    [MemberData(nameof(Variants))]
    public void An_instruction_in_two_pages_follows_the_second(string variant)
    {
        for (int round = 0; round < 6; round++)
        {
            bool isOther = round % 2 != 0;
            HandCase hand = new($"round {round}", isOther ? s_other : AddressLayout.Standard) { [Gpr.R8] = Crossing, [Gpr.Rsi] = 3 };
            hand.Code(a =>
            {
                Label again = a.CreateLabel(), end = a.CreateLabel();
                a.Label(ref again);
                a.call(r8); // by way of the jump cache
                a.add(rbx, rax);
                a.mov(ecx, 0x100);
                a.lea(rdx, __[rsi + rbx]);
                a.dec(esi);
                a.jne(again);
                a.lea(rdi, __[end]);
                a.push(rdi);
                a.jmp(Crossing); // by a link
                a.Label(ref end);
                a.ud2();
            });
            byte[] rest = isOther ? [0x99, 0x88, 0x77, 0xc3] : [0x22, 0x33, 0x44, 0xc3];
            Bench.Check(variant, hand.Bytes([0xb8, 0x11], Crossing).Bytes(rest, Next));
        }
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Code_runs_wherever_it_is_mapped(string variant)
    {
        foreach (AddressLayout layout in (IEnumerable<AddressLayout>)[AddressLayout.Standard, s_moved, AddressLayout.Standard, s_moved])
        {
            ulong start = layout == s_moved ? AddressLayout.Code + 16 * AddressLayout.PageSize : AddressLayout.Code;
            HandCase hand = new($"at {start:x}", layout) { [Gpr.Rsi] = 5 };
            Bench.Check(variant, hand.Code(a =>
            {
                Label again = a.CreateLabel(), callee = a.CreateLabel();
                a.lea(r8, __[callee]);
                a.Label(ref again);
                a.call(r8);
                a.dec(esi);
                a.jne(again);
                a.ud2();
                a.nop(17);
                a.Label(ref callee);
                a.lea(rdi, __[again]);
                a.add(rbx, rdi);
                a.ret();
            }, start));
        }
    }
}
