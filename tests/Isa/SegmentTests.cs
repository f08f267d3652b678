using Ryokan.Isa.Tests.Harness;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>MOV to and from segment registers, as far as user code may load them with null selectors.</summary>
public sealed class SegmentTests
{
    public static TheoryData<string> Variants => Bench.Variants;

    [Theory]
    [MemberData(nameof(Variants))]
    public void Null_selectors_are_loaded_and_read_back(string variant)
    {
        HandCase hand = new("null selectors") { [X86.Gpr.Rdi] = AddressLayout.Data, [X86.Gpr.Rax] = 0xffff_ffff_ffff_0003 };
        Bench.Check(variant, hand.Code(a =>
        {
            a.mov(ds, eax);
            a.mov(ecx, ds);
            a.mov(__word_ptr[rdi], ds);
            a.mov(__word_ptr[rdi + 4], cs);
            a.mov(__word_ptr[rdi + 2], 2);
            a.mov(es, __word_ptr[rdi + 2]);
            a.mov(r10w, es);
            a.mov(r11d, es);
            a.mov(rbx, es);
            a.stc();
            a.mov(r9d, 0);
            a.mov(ds, r9d);
            a.mov(es, r9d);
            a.mov(__word_ptr[rdi + AddressLayout.PageSize - 1], ss);
            a.mov(dx, ds);
            a.adc(rax, rdx);
            a.ud2();
        }));
    }
}
