using Iced.Intel;

namespace Ryokan.Engine.Soft.Translate;

internal static class FloatingPoint
{
    /// <summary>True for x87, MMX, SSE, AVX and AVX-512 instructions and those that save or load their state.</summary>
    public static bool Uses(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register
                && i.GetOpRegister(n) is (>= Register.XMM0 and <= Register.ZMM31) or (>= Register.K0 and <= Register.K7) or (>= Register.ST0 and <= Register.ST7)
                    or (>= Register.MM0 and <= Register.MM7))
            {
                return true;
            }
        }
        foreach (CpuidFeature feature in i.CpuidFeatures)
        {
            if (feature is CpuidFeature.XSAVEC or CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 or CpuidFeature.MMX
                or CpuidFeature.FXSR or CpuidFeature.XSAVE or CpuidFeature.AVX or CpuidFeature.AVX2)
            {
                return true;
            }
            if (feature == CpuidFeature.SSE && i.Mnemonic is Mnemonic.Ldmxcsr or Mnemonic.Stmxcsr)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>True when state beyond AVX may be read or written: EVEX encodings, mask registers, and what saves or loads all state.</summary>
    public static bool UsesBeyondAvx(in Instruction i)
    {
        if (!HostState.HasAvx512)
        {
            return false;
        }
        if (i.Encoding == EncodingKind.EVEX || InstructionClass.IsStateMove(i.Mnemonic))
        {
            return true;
        }
        for (int n = 0; n < i.OpCount && i.Encoding == EncodingKind.VEX; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register && i.GetOpRegister(n) is >= Register.K0 and <= Register.K7)
            {
                return true;
            }
        }
        return false;
    }
}
