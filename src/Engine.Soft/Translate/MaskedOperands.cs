using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Numerics;
using Iced.Intel;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Memory operands of which an opmask selects elements: those that it does not select are not accessed and cannot fault (Intel SDM vol. 1,
/// 15.6.4 "Memory fault suppression"; vol. 2, 2.8 "Exception classifications of EVEX-encoded instructions": not in the classes whose names
/// end in NF).
/// </summary>
internal static class MaskedOperands
{
    /// <summary>The opmask decides which parts of the memory operand are accessed.</summary>
    public static bool IsPartial(in Instruction i) => i.HasOpMask && !AccessesAll.Contains(i.Mnemonic) && !IsShiftCount(i);

    /// <summary>The memory operand is the count of a shift of all elements.</summary>
    private static bool IsShiftCount(in Instruction i) => i.OpCount > 2 && i.GetOpKind(2) == OpKind.Memory && i.Mnemonic is Mnemonic.Vpsllw
        or Mnemonic.Vpslld or Mnemonic.Vpsllq or Mnemonic.Vpsraw or Mnemonic.Vpsrad or Mnemonic.Vpsraq or Mnemonic.Vpsrlw or Mnemonic.Vpsrld
        or Mnemonic.Vpsrlq;

    /// <summary>Bytes of the operand that are accessed, one bit each.</summary>
    /// <param name="i">an instruction with an opmask and a memory operand</param>
    /// <param name="size">bytes of the operand, at most 64</param>
    /// <param name="mask">value of the opmask register</param>
    public static ulong BytesOf(in Instruction i, int size, ulong mask)
    {
        int element = ElementBytes(i);
        if (i.IsBroadcast)
        {
            return (mask & Low(BroadcastBytes(i.MemorySize) / element)) != 0 ? Low(size) : 0;
        }
        int count = size / element, lanes = IsBroadcast(i.Mnemonic) ? VectorBytes(i.GetOpRegister(0)) / element : count;
        mask &= Low(lanes);
        if (IsCompressed(i.Mnemonic))
        {
            return Low(BitOperations.PopCount(mask) * element);
        }
        ulong bytes = 0;
        for (int n = 0; n < lanes; n++)
        {
            if ((mask >> n & 1) != 0)
            {
                bytes |= Low(element) << (n % count * element);
            }
        }
        return bytes;
    }

    private static ulong Low(int bits) => bits >= 64 ? ulong.MaxValue : (1UL << bits) - 1;

    /// <summary>What of the operand one bit of the mask stands for: all that a sum or product is made of.</summary>
    private static int ElementBytes(in Instruction i) => i.Mnemonic switch
    {
        Mnemonic.Vpdpbusd or Mnemonic.Vpdpbusds or Mnemonic.Vpdpwssd or Mnemonic.Vpdpwssds or Mnemonic.Vdpbf16ps => 4,
        Mnemonic.Vpmuldq or Mnemonic.Vpmuludq => 8,
        _ => Math.Max(1, i.MemorySize.GetElementSize()),
    };

    private static int VectorBytes(Register r) => r >= Register.ZMM0 ? 64 : r >= Register.YMM0 ? 32 : 16;

    /// <summary>Bytes of the vector that an embedded broadcast makes of its element: the number in the name.</summary>
    private static int BroadcastBytes(MemorySize size)
    {
        string name = size.ToString();
        int bits = 0;
        for (int n = "Broadcast".Length; char.IsAsciiDigit(name[n]); n++)
        {
            bits = bits * 10 + (name[n] - '0');
        }
        return bits / 8;
    }

    private static bool IsBroadcast(Mnemonic mnemonic) => mnemonic is Mnemonic.Vpbroadcastb or Mnemonic.Vpbroadcastw
        or Mnemonic.Vpbroadcastd or Mnemonic.Vpbroadcastq or Mnemonic.Vbroadcastss or Mnemonic.Vbroadcastsd
        or Mnemonic.Vbroadcastf32x2 or Mnemonic.Vbroadcastf32x4 or Mnemonic.Vbroadcastf32x8 or Mnemonic.Vbroadcastf64x2
        or Mnemonic.Vbroadcastf64x4 or Mnemonic.Vbroadcasti32x2 or Mnemonic.Vbroadcasti32x4 or Mnemonic.Vbroadcasti32x8
        or Mnemonic.Vbroadcasti64x2 or Mnemonic.Vbroadcasti64x4;

    /// <summary>The selected elements lie in memory one behind the other.</summary>
    private static bool IsCompressed(Mnemonic mnemonic) => mnemonic is Mnemonic.Vpcompressb or Mnemonic.Vpcompressw
        or Mnemonic.Vpcompressd or Mnemonic.Vpcompressq or Mnemonic.Vcompressps or Mnemonic.Vcompresspd
        or Mnemonic.Vpexpandb or Mnemonic.Vpexpandw or Mnemonic.Vpexpandd or Mnemonic.Vpexpandq or Mnemonic.Vexpandps
        or Mnemonic.Vexpandpd;

    /// <summary>Elements of the result are not made of the same elements of the operand, so all of it is read.</summary>
    private static readonly FrozenSet<Mnemonic> AccessesAll = new HashSet<Mnemonic>
    {
        Mnemonic.Valignd, Mnemonic.Valignq, Mnemonic.Vcvtne2ps2bf16, Mnemonic.Vdbpsadbw, Mnemonic.Vextractf32x4,
        Mnemonic.Vextractf32x8, Mnemonic.Vextractf64x2, Mnemonic.Vextractf64x4, Mnemonic.Vextracti32x4, Mnemonic.Vextracti32x8,
        Mnemonic.Vextracti64x2, Mnemonic.Vextracti64x4, Mnemonic.Vgf2p8affineinvqb, Mnemonic.Vgf2p8affineqb,
        Mnemonic.Vinsertf32x4, Mnemonic.Vinsertf32x8, Mnemonic.Vinsertf64x2, Mnemonic.Vinsertf64x4, Mnemonic.Vinserti32x4,
        Mnemonic.Vinserti32x8, Mnemonic.Vinserti64x2, Mnemonic.Vinserti64x4, Mnemonic.Vmovddup, Mnemonic.Vmovshdup,
        Mnemonic.Vmovsldup, Mnemonic.Vpackssdw, Mnemonic.Vpacksswb, Mnemonic.Vpackusdw, Mnemonic.Vpackuswb, Mnemonic.Vpalignr,
        Mnemonic.Vpconflictd, Mnemonic.Vpconflictq, Mnemonic.Vpermb, Mnemonic.Vpermd, Mnemonic.Vpermi2b, Mnemonic.Vpermi2d,
        Mnemonic.Vpermi2pd, Mnemonic.Vpermi2ps, Mnemonic.Vpermi2q, Mnemonic.Vpermi2w, Mnemonic.Vpermilpd, Mnemonic.Vpermilps,
        Mnemonic.Vpermpd, Mnemonic.Vpermps, Mnemonic.Vpermq, Mnemonic.Vpermt2b, Mnemonic.Vpermt2d, Mnemonic.Vpermt2pd,
        Mnemonic.Vpermt2ps, Mnemonic.Vpermt2q, Mnemonic.Vpermt2w, Mnemonic.Vpermw, Mnemonic.Vpmaddubsw, Mnemonic.Vpmaddwd,
        Mnemonic.Vpmultishiftqb, Mnemonic.Vpshufb, Mnemonic.Vpshufd, Mnemonic.Vpshufhw, Mnemonic.Vpshuflw, Mnemonic.Vpunpckhbw,
        Mnemonic.Vpunpckhdq, Mnemonic.Vpunpckhqdq, Mnemonic.Vpunpckhwd, Mnemonic.Vpunpcklbw, Mnemonic.Vpunpckldq,
        Mnemonic.Vpunpcklqdq, Mnemonic.Vpunpcklwd, Mnemonic.Vshuff32x4, Mnemonic.Vshuff64x2, Mnemonic.Vshufi32x4,
        Mnemonic.Vshufi64x2, Mnemonic.Vshufpd, Mnemonic.Vshufps, Mnemonic.Vunpckhpd, Mnemonic.Vunpckhps, Mnemonic.Vunpcklpd,
        Mnemonic.Vunpcklps,
    }.ToFrozenSet();
}
