using System;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Ryokan.Isa.Tests;

/// <summary>
/// Every form that has an opmask and a memory operand, at the edge of what is mapped: elements that the mask does not select are not
/// accessed, where the host does not access them.
/// </summary>
public sealed class MaskedOperandTests
{
    private const ulong End = AddressLayout.ReadOnly + AddressLayout.PageSize, Result = AddressLayout.Data + 0x100;

    public static TheoryData<string> Variants => Bench.Variants;

    [Theory]
    [MemberData(nameof(Variants))]
    public void Unselected_elements_are_not_accessed(string variant)
    {
        // All forms in the variants that differ in how operands are checked, every eighth in the others.
        int stride = variant is "default" or "plain" ? 1 : 8, form = 0;
        var rng = new Random(stride);
        foreach (Code code in Enum.GetValues<Code>())
        {
            if (form++ % stride != 0 || !TryMake(code, broadcast: false, out Instruction plain))
            {
                continue;
            }
            Check(variant, plain, rng);
            if (code.ToOpCode().CanBroadcast && TryMake(code, broadcast: true, out Instruction broadcast))
            {
                Check(variant, broadcast, rng);
            }
        }
    }

    private static void Check(string variant, in Instruction instruction, Random rng)
    {
        int size = instruction.MemorySize.GetSize(), element = Math.Max(1, instruction.MemorySize.GetElementSize());
        bool store = instruction.Op0Kind == OpKind.Memory;
        int inside = rng.Next(size / element + 1);
        ulong below = inside >= 64 ? ulong.MaxValue : (1UL << inside) - 1;
        ulong random = (ulong)rng.NextInt64() << 1 ^ (ulong)rng.NextInt64();
        // Some elements lie in a page that is there, at its end or at its beginning.
        ulong crossing = store ? AddressLayout.Data - (ulong)(size - inside * element) : End - (ulong)(inside * element);
        (ulong At, ulong Mask)[] places =
        [
            (End + 64, 0), (End + 64, random & 1), (crossing, store ? ulong.MaxValue << (size / element - inside & 63) : below), (crossing, random), (crossing, 1),
            (AddressLayout.Data + AddressLayout.PageSize - (ulong)(size / 2), random), (AddressLayout.ReadOnly + 64, store ? 0 : random),
        ];
        foreach ((ulong at, ulong mask) in places)
        {
            HandCase hand = new($"{instruction} at {at:x}, {mask:x}") { [X86.Gpr.Rax] = at, [X86.Gpr.Rdx] = mask, [X86.Gpr.Rdi] = Result };
            Instruction subject = instruction;
            Bench.Check(variant, hand.Code(a =>
            {
                a.kmovq(k1, rdx);
                a.vmovdqu64(zmm3, __[rdi]);
                a.AddInstruction(subject);
                a.vmovdqu64(__[rdi + 0x40], zmm1);
                a.vmovdqu64(__[rdi + 0x80], zmm17);
                a.kmovq(__[rdi + 0xc0], k2);
                a.ud2();
            }));
        }
    }

    /// <summary>The form with its memory operand at [rax], under k1; false when it has none, or the host does not have it.</summary>
    private static bool TryMake(Code code, bool broadcast, out Instruction instruction)
    {
        instruction = default;
        OpCodeInfo form = code.ToOpCode();
        if (!form.IsInstruction || form.Encoding != EncodingKind.EVEX || !form.Mode64 || !form.CanUseOpMaskRegister
            || !GuestFeatures.Offers(code))
        {
            return false;
        }
        instruction.Code = code;
        instruction.OpMask = Register.K1;
        instruction.IsBroadcast = broadcast;
        bool hasMemory = false;
        for (int n = 0; n < form.OpCount; n++)
        {
            string kind = form.GetOpKind(n).ToString();
            if (kind.Contains("vsib", StringComparison.Ordinal))
            {
                return false;
            }
            if (kind.Contains("mem", StringComparison.Ordinal))
            {
                hasMemory = true;
                instruction.SetOpKind(n, OpKind.Memory);
                instruction.MemoryBase = Register.RAX;
            }
            else if (kind.StartsWith("imm", StringComparison.Ordinal))
            {
                instruction.SetOpKind(n, OpKind.Immediate8);
                instruction.Immediate8 = 0x5a;
            }
            else
            {
                instruction.SetOpKind(n, OpKind.Register);
                instruction.SetOpRegister(n, RegisterFor(kind, n));
            }
        }
        return hasMemory;
    }

    private static Register RegisterFor(string kind, int n) => kind[0] switch
    {
        'z' => Register.ZMM1 + n, 'y' => Register.YMM1 + n, 'x' => Register.XMM1 + n, 'k' => Register.K2, _ => Register.RCX,
    };
}
