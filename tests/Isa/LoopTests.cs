using Ryokan.Isa.Tests.Harness;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>Shapes of loops that the translator lays out in ways of its own.</summary>
public sealed class LoopTests
{
    public static TheoryData<string> Variants => Bench.Variants;

    /// <summary>
    /// The body jumps back to the condition in front of it, and the flags of the last comparison are used behind the loop: the way out of a
    /// later round looks for a kick, and must not do so by way of the flags.
    /// </summary>
    [Theory]
    [MemberData(nameof(Variants))]
    public void Flags_outlive_a_loop_whose_condition_comes_first(string variant)
    {
        for (ulong rounds = 1; rounds < 20; rounds++)
        {
            HandCase hand = new($"{rounds} rounds") { [X86.Gpr.Rdx] = rounds, [X86.Gpr.Rbx] = 1 };
            Bench.Check(variant, hand.Code(a =>
            {
                Iced.Intel.Label condition = a.CreateLabel(), body = a.CreateLabel();
                a.jmp(body);
                a.Label(ref condition);
                a.sub(rdx, 1);
                a.cmp(rdx, rbx);
                a.jae(body);
                a.sbb(rsi, rsi);
                a.setl(dil);
                a.ud2();
                a.Label(ref body);
                a.add(rax, 3);
                a.jmp(condition);
            }));
        }
    }
}
