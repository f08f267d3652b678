using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>The decimal instructions of 32-bit code (Intel SDM vol. 2).</summary>
internal static class DecimalInstructions
{
    public static bool Execute(ref SlowInstructions.Context c)
    {
        ulong rax = c.R[Gpr.Rax];
        int al = (byte)rax, ah = (byte)(rax >> 8);
        var f = (Rflags)c.R.Rflags;
        bool cf = (f & Rflags.CF) != 0, af = (f & Rflags.AF) != 0;
        switch (c.I.Mnemonic)
        {
            case Mnemonic.Salc:
                al = cf ? 0xff : 0;
                Set(ref c, al, ah);
                return false;
            case Mnemonic.Aam:
                int divisor = c.I.Immediate8;
                if (divisor == 0)
                {
                    return c.Fault(ExceptionVector.DivideError);
                }
                (ah, al) = (al / divisor, al % divisor);
                cf = af = false;
                break;
            case Mnemonic.Aad:
                al = (al + ah * c.I.Immediate8) & 0xff;
                ah = 0;
                cf = af = false;
                break;
            case Mnemonic.Aaa or Mnemonic.Aas:
                bool adjust = (al & 15) > 9 || af;
                int ax = ah << 8 | al;
                ax += adjust ? c.I.Mnemonic == Mnemonic.Aaa ? 0x106 : -0x106 : 0;
                (al, ah) = (ax & 15, ax >> 8 & 0xff);
                cf = af = adjust;
                break;
            default:
                Decimal(ref al, ref cf, ref af, c.I.Mnemonic == Mnemonic.Daa ? 1 : -1);
                break;
        }
        Set(ref c, al, ah);
        Rflags result = (Rflags)Flags.OfSubtraction((ulong)al, 0, 1) & (Rflags.ZF | Rflags.SF | Rflags.PF);
        result |= (cf ? Rflags.CF : 0) | (af ? Rflags.AF : 0);
        c.R.Rflags = (c.R.Rflags & ~(ulong)Rflags.Arithmetic) | (ulong)result;
        return false;
    }

    private static void Decimal(ref int al, ref bool cf, ref bool af, int sign)
    {
        int old = al;
        bool oldCf = cf;
        cf = false;
        if ((al & 15) > 9 || af)
        {
            int sum = al + 6 * sign;
            cf = oldCf || sum is < 0 or > 255;
            al = sum & 0xff;
            af = true;
        }
        else
        {
            af = false;
        }
        if (old > 0x99 || oldCf)
        {
            al = (al + 0x60 * sign) & 0xff;
            cf = true;
        }
        else if (sign > 0)
        {
            cf = false;
        }
    }

    private static void Set(ref SlowInstructions.Context c, int al, int ah) =>
        c.R[Gpr.Rax] = (c.R[Gpr.Rax] & ~0xffffUL) | (uint)(ah << 8 | al);
}
