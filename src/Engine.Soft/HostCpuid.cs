using System;
using System.Collections.Concurrent;
using System.Runtime.Intrinsics.X86;
using Ryokan.X86;

namespace Ryokan.Engine.Soft;

/// <summary>CPUID as the software engine can honour it: the host's answers less what the translator refuses.</summary>
internal static class HostCpuid
{
    // leaf 1
    private const uint Leaf1Ecx = 1 << 0 | 1 << 1 | 1 << 9 | 1 << 12 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 22 | 1 << 23
        | 1 << 25 | 1 << 26 | 1 << 28 | 1 << 29 | 1 << 30; // SSE3 PCLMUL SSSE3 FMA CX16 SSE4 MOVBE POPCNT AES XSAVE AVX F16C RDRAND
    private const uint Leaf1Edx = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11 | 1 << 12
        | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 19 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 26 | 1 << 27;

    // leaf 7: BMI1 AVX2 BMI2 ERMS RDSEED ADX CLFLUSHOPT CLWB SHA; ecx GFNI VAES VPCLMULQDQ; edx FSRM; subleaf 1 eax AVX_VNNI
    private const uint Leaf7Ebx = 1 << 3 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 18 | 1 << 19 | 1 << 23 | 1 << 24 | 1 << 29;
    private const uint Leaf7Ecx = 1 << 8 | 1 << 9 | 1 << 10;
    private const uint Leaf7Edx = 1 << 4;
    private const uint Leaf71Eax = 1 << 4;

    // AVX-512: F DQ IFMA CD BW VL; VBMI VBMI2 VNNI BITALG VPOPCNTDQ; FP16; subleaf 1 BF16
    private const uint Avx512Ebx = 1 << 16 | 1 << 17 | 1 << 21 | 1 << 28 | 1 << 30 | 1u << 31;
    private const uint Avx512Ecx = 1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14;
    private const uint Avx512Edx = 1 << 23;
    private const uint Avx512Eax = 1 << 5;

    /// <summary>
    /// SERIALIZE, whatever the host has: it does nothing here, for writes to code take effect at once. Without it Linux
    /// serializes with an IRET to itself, some hundred thousand times while it boots.
    /// </summary>
    private const uint Serialize = 1 << 14;

    private const uint Leaf81Ecx = 1 << 0 | 1 << 5 | 1 << 8; // LAHF LZCNT PREFETCHW
    private const uint Leaf81Edx = 1 << 11 | 1 << 20 | 1 << 29; // SYSCALL NX LM

    /// <summary>
    /// AVX2 and BMI2, asked of the processor itself: generated code uses them whatever this program was compiled for.
    /// </summary>
    public static bool IsSufficient
    {
        get
        {
            (int max, _, _, _) = X86Base.CpuId(0, 0);
            (_, _, int ecx, _) = X86Base.CpuId(1, 0);
            const int osxsaveAndAvx = 1 << 27 | 1 << 28;
            (_, int ebx, _, _) = max >= 7 ? X86Base.CpuId(7, 0) : default;
            const int avx2AndBmi2 = 1 << 5 | 1 << 8;
            return (ecx & osxsaveAndAvx) == osxsaveAndAvx && (ebx & avx2AndBmi2) == avx2AndBmi2;
        }
    }

    /// <summary>AMD's processors and Hygon's, which are of AMD's design, by the vendor name in leaf 0.</summary>
    public static bool IsAmd
    {
        get
        {
            (_, int ebx, int ecx, int edx) = X86Base.CpuId(0, 0);
            return (ebx, edx, ecx) is (0x68747541, 0x69746e65, 0x444d4163) // AuthenticAMD
                or (0x6f677948, 0x6e65476e, 0x656e6975); // HygonGenuine
        }
    }

    /// <summary>Everything of the processor that translations may depend on.</summary>
    public static string Fingerprint
    {
        get
        {
            (int most, int vendor, _, _) = X86Base.CpuId(0, 0);
            (int model, _, int ecx, int edx) = X86Base.CpuId(1, 0);
            return FormattableString.Invariant($"{most:x} {vendor:x} {model:x} {ecx:x} {edx:x} {X86Base.CpuId(7, 0)} {X86Base.CpuId(7, 1)}")
                + FormattableString.Invariant($" {HostState.Xcr0:x} {HostState.HasCompaction} {HostState.ImageBytes} {HostState.CompactedBytes}");
        }
    }

    private const int MostAnswers = 1024;

    private static readonly ConcurrentDictionary<(uint Leaf, uint Subleaf), CpuidResult> Answers = new();

    /// <summary>Asks the processor once: on a host that is a virtual machine itself each CPUID is a trap.</summary>
    private static CpuidResult Ask(uint leaf, uint subleaf)
    {
        if (Answers.TryGetValue((leaf, subleaf), out CpuidResult known))
        {
            return known;
        }
        (int a, int b, int c, int d) = X86Base.CpuId((int)leaf, (int)subleaf);
        var answer = new CpuidResult((uint)a, (uint)b, (uint)c, (uint)d);
        if (Answers.Count < MostAnswers) // guests choose what is asked
        {
            Answers[(leaf, subleaf)] = answer;
        }
        return answer;
    }

    public static CpuidResult Read(uint leaf, uint subleaf)
    {
        CpuidResult host = Ask(leaf, subleaf);
        return leaf switch
        {
            1 => host with { Ecx = host.Ecx & Leaf1Ecx, Edx = host.Edx & Leaf1Edx },
            7 => StructuredFeatures(host, subleaf),
            0xd => ExtendedState(host, subleaf),
            0x80000001 => host with { Ecx = host.Ecx & Leaf81Ecx, Edx = host.Edx & Leaf81Edx },
            _ => host,
        };
    }

    private static CpuidResult StructuredFeatures(CpuidResult host, uint subleaf)
    {
        bool avx512 = HostState.HasAvx512;
        return subleaf switch
        {
            0 => new CpuidResult(Math.Min(host.Eax, 1), host.Ebx & (Leaf7Ebx | (avx512 ? Avx512Ebx : 0)),
                host.Ecx & (Leaf7Ecx | (avx512 ? Avx512Ecx : 0)), (host.Edx & (Leaf7Edx | (avx512 ? Avx512Edx : 0))) | Serialize),
            1 => new CpuidResult(host.Eax & (Leaf71Eax | (avx512 ? Avx512Eax : 0)), 0, 0, 0),
            _ => default,
        };
    }

    /// <summary>XSAVE as the host has it, of x87, SSE, AVX and perhaps AVX-512, and XSAVEC; no supervisor state.</summary>
    private static CpuidResult ExtendedState(CpuidResult host, uint subleaf)
    {
        uint bytes = (uint)HostState.ImageBytes;
        return subleaf switch
        {
            0 => new CpuidResult((uint)HostState.Xcr0, bytes, bytes, 0),
            1 => HostState.HasCompaction ? new CpuidResult(2, (uint)HostState.CompactedBytes, 0, 0) : default,
            < 32 when (HostState.Xcr0 >> (int)subleaf & 1) != 0 => host with { Ecx = host.Ecx & 2, Edx = 0 },
            _ => default,
        };
    }
}
