using Iced.Intel;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>Which general registers an instruction writes, as a bit mask; facts per instruction form are kept.</summary>
internal static class RegisterWrites
{
    private const int Known = 1 << 31;

    /// <summary>Per form: bits 0-15 implicitly written registers, bits 16-20 written operands.</summary>
    private static readonly int[] Forms = new int[8192];

    public static int Of(in Instruction i)
    {
        int facts = Forms[(int)i.Code];
        if (facts == 0)
        {
            facts = Work(i);
            Forms[(int)i.Code] = facts;
        }
        int mask = facts & 0xffff;
        for (int n = 0; n < i.OpCount; n++)
        {
            if ((facts >> (16 + n) & 1) != 0 && i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n)))
            {
                mask |= 1 << Translator.GprNumber(i.GetOpRegister(n));
            }
        }
        return mask;
    }

    private static int Work(in Instruction i)
    {
        InstructionInfo info = new InstructionInfoFactory().GetInfo(i);
        int operands = 0, explicitMask = 0, mask = 0;
        for (int n = 0; n < i.OpCount; n++)
        {
            if (Writes(info.GetOpAccess(n)))
            {
                operands |= 1 << n;
            }
            if (i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n)))
            {
                explicitMask |= 1 << Translator.GprNumber(i.GetOpRegister(n));
            }
        }
        foreach (UsedRegister used in info.GetUsedRegisters())
        {
            if (IsGpr(used.Register) && Writes(used.Access))
            {
                int bit = 1 << Translator.GprNumber(used.Register);
                mask |= (explicitMask & bit) == 0 || IsFixed(i) ? bit : 0;
            }
        }
        return Known | operands << 16 | mask;
    }

    /// <summary>Forms with fixed registers (accumulator forms, CMPXCHG, XCHG ...): an explicit register may be implicit too.</summary>
    private static bool IsFixed(in Instruction i) => i.Mnemonic is Mnemonic.Cmpxchg or Mnemonic.Mul or Mnemonic.Div
        or Mnemonic.Idiv or Mnemonic.Imul or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b or Mnemonic.Mulx;

    private static bool Writes(OpAccess access) => access is OpAccess.Write or OpAccess.CondWrite
        or OpAccess.ReadWrite or OpAccess.ReadCondWrite;

    private static bool IsGpr(Register r) => r is >= Register.AL and <= Register.R15;
}
