using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>Misaligned vector operands at the edge of what is mapped: #GP, #PF or neither, as on the host.</summary>
public sealed class AlignmentTests
{
    private static readonly Dictionary<string, Action<Assembler>> s_instructions = new()
    {
        ["paddd"] = a => a.paddd(xmm1, __[rax]),
        ["movaps"] = a => a.movaps(xmm1, __[rax]),
        ["movups"] = a => a.movups(xmm1, __[rax]),
        ["aesenc"] = a => a.aesenc(xmm1, __[rax]),
        ["pclmulqdq"] = a => a.pclmulqdq(xmm1, __[rax], 0),
        ["pcmpistrm"] = a => a.pcmpistrm(xmm1, __[rax], 0),
        ["sha1nexte"] = a => a.sha1nexte(xmm1, __[rax]),
        ["sha1rnds4"] = a => a.sha1rnds4(xmm1, __[rax], 1),
        ["sha1msg1"] = a => a.sha1msg1(xmm1, __[rax]),
        ["sha1msg2"] = a => a.sha1msg2(xmm1, __[rax]),
        ["sha256rnds2"] = a => a.sha256rnds2(xmm1, __[rax]),
        ["sha256msg1"] = a => a.sha256msg1(xmm1, __[rax]),
        ["sha256msg2"] = a => a.sha256msg2(xmm1, __[rax]),
        ["vmovdqa"] = a => a.vmovdqa(ymm1, __[rax]),
        ["vpaddd"] = a => a.vpaddd(ymm1, ymm2, __[rax]),
    };

    public static TheoryData<string> Variants => Bench.Variants;

    [Theory]
    [MemberData(nameof(Variants))]
    public void Misaligned_operands_fault_as_on_the_host(string variant)
    {
        const ulong End = AddressLayout.ReadOnly + AddressLayout.PageSize;
        ulong[] places = [End - 8, End + 8, End, AddressLayout.Data - 8, AddressLayout.Data + 8, AddressLayout.ReadOnly - 8];
        foreach ((string name, Action<Assembler> write) in s_instructions)
        {
            foreach (ulong at in places)
            {
                HandCase hand = new($"{name} at {at:x}") { [X86.Gpr.Rax] = at };
                Bench.Check(variant, hand.Code(a =>
                {
                    write(a);
                    a.ud2();
                }));
            }
        }
    }
}
