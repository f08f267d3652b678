using Iced.Intel;

namespace Ryokan.Engine.Soft.Translate;

internal static class FloatingPoint
{
    /// <summary>True for x87, MMX, SSE and AVX instructions and those that save or load their state.</summary>
    public static bool Uses(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register
                && i.GetOpRegister(n) is (>= Register.XMM0 and <= Register.YMM31) or (>= Register.ST0 and <= Register.ST7)
                    or (>= Register.MM0 and <= Register.MM7))
            {
                return true;
            }
        }
        foreach (CpuidFeature feature in i.CpuidFeatures)
        {
            if (feature is CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 or CpuidFeature.MMX
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
}
