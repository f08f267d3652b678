using System.Linq;
using Iced.Intel;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>Which of the newer instructions the engine offers to guests on this host.</summary>
public static class GuestFeatures
{
    private static readonly (CpuidResult Leaf7, CpuidResult Leaf71) s_known = Ask();

    private static (CpuidResult Leaf7, CpuidResult Leaf71) Ask()
    {
        if (Sides.EngineVariants.Count == 0)
        {
            return default;
        }
        using var frames = new GuestFrames(16);
        using IEngine engine = Sides.CreateEngine(Sides.EngineVariants[0], frames);
        return (engine.Cpuid(7, 0), engine.Cpuid(7, 1));
    }

    /// <summary>AVX-512 with its mask registers.</summary>
    public static bool HasAvx512 => Bit(s_known.Leaf7.Ebx, 16);

    /// <summary>True when the guest's CPUID has every feature that a form needs, as far as it is one of leaf 7.</summary>
    public static bool Offers(Code code) => code.CpuidFeatures().All(Offers);

    public static bool Offers(CpuidFeature feature) => feature switch
    {
        CpuidFeature.AVX512F => Bit(s_known.Leaf7.Ebx, 16),
        CpuidFeature.AVX512DQ => Bit(s_known.Leaf7.Ebx, 17),
        CpuidFeature.AVX512_IFMA => Bit(s_known.Leaf7.Ebx, 21),
        CpuidFeature.AVX512CD => Bit(s_known.Leaf7.Ebx, 28),
        CpuidFeature.AVX512BW => Bit(s_known.Leaf7.Ebx, 30),
        CpuidFeature.AVX512VL => Bit(s_known.Leaf7.Ebx, 31),
        CpuidFeature.AVX512_VBMI => Bit(s_known.Leaf7.Ecx, 1),
        CpuidFeature.AVX512_VBMI2 => Bit(s_known.Leaf7.Ecx, 6),
        CpuidFeature.GFNI => Bit(s_known.Leaf7.Ecx, 8),
        CpuidFeature.VAES => Bit(s_known.Leaf7.Ecx, 9),
        CpuidFeature.VPCLMULQDQ => Bit(s_known.Leaf7.Ecx, 10),
        CpuidFeature.AVX512_VNNI => Bit(s_known.Leaf7.Ecx, 11),
        CpuidFeature.AVX512_BITALG => Bit(s_known.Leaf7.Ecx, 12),
        CpuidFeature.AVX512_VPOPCNTDQ => Bit(s_known.Leaf7.Ecx, 14),
        CpuidFeature.AVX512_FP16 => Bit(s_known.Leaf7.Edx, 23),
        CpuidFeature.AVX_VNNI => Bit(s_known.Leaf71.Eax, 4),
        CpuidFeature.AVX512_BF16 => Bit(s_known.Leaf71.Eax, 5),
        CpuidFeature.AVX512_VP2INTERSECT or CpuidFeature.AVX512ER or CpuidFeature.AVX512PF or CpuidFeature.AVX512_4FMAPS
            or CpuidFeature.AVX512_4VNNIW => false,
        _ => true,
    };

    private static bool Bit(uint features, int bit) => (features >> bit & 1) != 0;
}
