namespace Ryokan.Hypervisor.Cpuid;

/// <summary>
/// Feature bits that a PV guest may see where the engine has them. Everything not named here is hidden:
/// what needs ring 0, large pages, protection keys, other page-table formats, MSRs that we do not emulate,
/// and matrix state.
/// </summary>
internal static class CpuidMasks
{
    /// <summary>SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND.</summary>
    public const uint Leaf1Ecx =
        1 << 0 | 1 << 1 | 1 << 9 | 1 << 12 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 22 | 1 << 23 | 1 << 25 | 1 << 26
        | 1 << 28 | 1 << 29 | 1 << 30;

    /// <summary>FPU DE TSC MSR PAE CX8 APIC SEP CMOV PAT CLFLUSH MMX FXSR SSE SSE2.</summary>
    public const uint Leaf1Edx =
        1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 11 | 1 << 15 | 1 << 16 | 1 << 19 | 1 << 23
        | 1 << 24 | 1 << 25 | 1 << 26;

    /// <summary>ARAT: the timer does not stop in sleep states.</summary>
    public const uint Leaf6Eax = 1 << 2;

    /// <summary>BMI1 AVX2 FDP BMI2 ERMS NOFPUCS AVX512F AVX512DQ RDSEED ADX AVX512IFMA CLFLUSHOPT CLWB AVX512CD SHA AVX512BW AVX512VL.</summary>
    public const uint Leaf7Ebx =
        1 << 3 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 21 | 1 << 23 | 1 << 24
        | 1 << 28 | 1 << 29 | 1 << 30 | 1u << 31;

    /// <summary>VBMI VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ MOVDIRI MOVDIR64B.</summary>
    public const uint Leaf7Ecx =
        1 << 1 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 27 | 1 << 28;

    /// <summary>FSRM, SERIALIZE, AVX512_FP16.</summary>
    public const uint Leaf7Edx = 1 << 4 | 1 << 14 | 1 << 23;

    /// <summary>Subleaf 1: AVX_VNNI AVX512_BF16.</summary>
    public const uint Leaf71Eax = 1 << 4 | 1 << 5;

    /// <summary>
    /// ARCH_CAPABILITIES, and on Intel's processors SPEC_CTRL, shown whatever the host has, as are AMD's fields below. A
    /// guest kernel's own mitigations (return thunks, retpolines, VERW) cannot work on translated code and only cost time: see
    /// <see cref="Vcpus.SpeculationMsrs"/>.
    /// </summary>
    public const uint SpeculationEdx = 1u << 29, IntelSpeculationEdx = 1u << 26;

    /// <summary>IBRS SSB_NO BTC_NO (AMD APM vol. 3, Fn8000_0008_EBX).</summary>
    public const uint AmdSpeculationEbx = 1u << 14 | 1u << 26 | 1u << 29;

    /// <summary>SRSO_NO (Fn8000_0021_EAX); TSA_SQ_NO TSA_L1_NO (ECX there).</summary>
    public const uint AmdSpeculation21Eax = 1u << 29, AmdSpeculation21Ecx = 1u << 1 | 1u << 2;

    /// <summary>XSAVEOPT XSAVEC XGETBV1; not XSAVES.</summary>
    public const uint LeafD1Eax = 7;

    /// <summary>LAHF ABM SSE4A MISALIGNSSE PREFETCHW.</summary>
    public const uint Extended1Ecx = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8;

    /// <summary>SYSCALL NX MMXEXT LM, and AMD's copies of leaf 1.</summary>
    public const uint Extended1Edx = (Leaf1Edx & 0x0183ffff) | 1 << 11 | 1 << 20 | 1 << 22 | 1 << 29;
}
