using Ryokan.Isa.Tests.Harness;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>An x87 error that waits for the next instruction of its kind meets one that C# carries out.</summary>
public sealed class PendingErrorTests
{
    public static TheoryData<string> Variants => Bench.Variants;

    [Theory]
    [MemberData(nameof(Variants))]
    public void A_pending_x87_error_is_raised_by_maskmovq(string variant)
    {
        HandCase hand = new("maskmovq after 0/0") { [X86.Gpr.Rdi] = AddressLayout.Data };
        Bench.Check(variant, hand.Code(a =>
        {
            a.mov(__word_ptr[rsp - 16], 0x37e); // invalid operations are not masked
            a.fninit();
            a.fldcw(__word_ptr[rsp - 16]);
            a.fldz();
            a.fldz();
            a.fdivp(st1, st0);
            a.maskmovq(mm1, mm2);
            a.ud2();
        }));
    }
}
