using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>
/// Flags of comparisons and logical operations that are wanted behind accesses: in the page, in two pages, where nothing is mapped (the fault
/// shows them, and the instruction behind it reads them), where nothing may be written.
/// </summary>
public sealed class FlagRecoveryTests
{
    private static readonly Dictionary<string, Action<Assembler>> s_setters = new()
    {
        ["cmp 64"] = a => a.cmp(rdx, rbx),
        ["cmp 32 with rcx"] = a => a.cmp(ecx, edx),
        ["cmp 16, number"] = a => a.cmp(dx, 0x707),
        ["cmp 8"] = a => a.cmp(sil, bl),
        ["cmp high byte"] = a => a.cmp(dh, 3),
        ["cmp with a slot"] = a => a.cmp(rdx, r10),
        ["cmp with rsp"] = a => a.cmp(rsp, rdx),
        ["test"] = a => a.test(rdx, rdx),
        ["test 8, number"] = a => a.test(dl, 0x81),
        ["and"] = a => a.and(edx, 0x80000001),
        ["and to zero"] = a => a.and(rdx, 0),
        ["or"] = a => a.or(dx, bx),
        ["or from memory"] = a => a.or(rdx, __[rdi]),
        ["xor with itself"] = a => a.xor(edx, edx),
        ["xor 8"] = a => a.xor(dl, bl),
        ["add"] = a => a.add(rdx, rbx),
    };

    private static readonly Dictionary<string, Action<Assembler>> s_accesses = new()
    {
        ["load"] = a => a.mov(rax, __[rbp + 8]),
        ["load of what was compared"] = a => a.mov(rdx, __[rbp + 8]),
        ["load to a slot"] = a => a.mov(r10, __[rbp]),
        ["two loads, one through the other"] = a => { a.mov(rax, __[rdi]); a.movzx(ecx, __byte_ptr[rbp]); },
        ["group"] = a => { a.mov(rax, __[rbp]); a.mov(r8d, __[rbp + 16]); },
        ["store"] = a => a.mov(__[rbp], r8),
        ["store of a number"] = a => a.mov(__dword_ptr[rbp + 4], 77),
        ["vector"] = a => { a.movups(xmm1, __[rbp]); a.movups(__[rbp + 16], xmm1); },
        ["aligned vector"] = a => a.movaps(xmm1, __[rbp]),
        ["push, pop"] = a => { a.push(rdi); a.push(__qword_ptr[rbp]); a.pop(rax); a.pop(r9); },
        ["pop of what was compared"] = a => { a.push(rdi); a.pop(rdx); },
        ["stack slot"] = a => { a.mov(__[rsp + 24], rdi); a.mov(rax, __[rsp + 24]); },
        ["lea, not, bswap"] = a => { a.lea(rax, __[rbp + rdi * 2]); a.not(rax); a.bswap(r8); a.mov(rax, __[rbp]); },
    };

    private static readonly Dictionary<string, Action<Assembler>> s_ends = new()
    {
        ["shown"] = a => a.ud2(),
        ["branch"] = a =>
        {
            Label taken = a.CreateLabel();
            a.jbe(taken);
            a.mov(r15, __[rdi + 32]);
            a.Label(ref taken);
            a.setl(r14b);
            a.ud2();
        },
        ["read with an operand"] = a => { a.cmovne(r12, __[rdi]); a.adc(r13, __[rdi + 8]); a.ud2(); },
        ["part of them kept"] = a => { a.inc(r13d); a.ud2(); },
        ["call"] = a =>
        {
            Label function = a.CreateLabel();
            a.call(function);
            a.ud2();
            a.Label(ref function);
            a.mov(r12, __[rdi]);
            a.ret();
        },
        ["jump by a register"] = a =>
        {
            Label there = a.CreateLabel();
            a.lea(r12, __[there]);
            a.mov(r13, __[rdi]);
            a.jmp(r12);
            a.nop();
            a.Label(ref there);
            a.sets(r14b);
            a.ud2();
        },
        ["string"] = a => { a.mov(rsi, rdi); a.movsb(); a.setp(r14b); a.ud2(); },
        ["far from everything"] = a =>
        {
            for (int n = 0; n < 60; n++)
            {
                a.mov(r12, __[rdi + n]);
            }
            a.setg(r14b);
            a.ud2();
        },
    };

    private static readonly ulong[] s_places =
    [
        AddressLayout.Data + 64, AddressLayout.Data + AddressLayout.PageSize - 4, AddressLayout.Data + AddressLayout.PageSize - 12,
        AddressLayout.ReadOnly + 128, AddressLayout.Data - 8, AddressLayout.Data - 4, 0x8000_0000_0000_0000,
    ];

    public static TheoryData<string> Variants => Bench.Variants;

    [Theory]
    [MemberData(nameof(Variants))]
    public void Flags_are_what_the_last_setter_made_them(string variant)
    {
        int count = 0;
        foreach ((string setterName, Action<Assembler> set) in s_setters)
        {
            foreach ((string accessName, Action<Assembler> access) in s_accesses)
            {
                foreach ((string endName, Action<Assembler> end) in s_ends)
                {
                    ulong at = s_places[count++ % s_places.Length]; // each setter and each access meet each place with some end
                    HandCase hand = new($"{setterName}; {accessName}; {endName}; at {at:x}")
                    {
                        [X86.Gpr.Rbp] = at, [X86.Gpr.Rdi] = AddressLayout.Data + 0x200, [X86.Gpr.Rbx] = 0x0303_0303_0303_0380,
                    };
                    Bench.Check(variant, hand.Code(a =>
                    {
                        set(a);
                        access(a);
                        end(a);
                    }));
                }
            }
        }
    }
}
