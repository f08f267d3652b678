using System;
using System.Collections.Generic;
using System.Linq;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>Groups that the random generator weighs against each other.</summary>
public enum Family
{
    Integer, IntegerWide, Stack, String, Flags, X87, Mmx, Sse, Avx, Avx2, Fma, Crypto, Bmi, Avx512, Opmask,
}

/// <summary>An instruction form of the catalog.</summary>
public readonly record struct CatalogEntry(Code Code, OpCodeInfo OpCode, Family Family);

/// <summary>
/// Every instruction form (Iced's <see cref="Code"/>) that the tests generate. What CPUID features the
/// guest may see is listed here; of those features, each form is either generated, tested by hand, or named
/// with the reason why not.
/// </summary>
public static class InstructionCatalog
{
    /// <summary>Features whose instructions are generated: those that guests always have, and those that they have here.</summary>
    public static IReadOnlySet<CpuidFeature> Features { get; } = new HashSet<CpuidFeature>
    {
        CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386,
        CpuidFeature.INTEL486, CpuidFeature.X64, CpuidFeature.CMOV, CpuidFeature.CX8, CpuidFeature.CMPXCHG16B,
        CpuidFeature.MULTIBYTENOP, CpuidFeature.PAUSE, CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387,
        CpuidFeature.MMX, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.SSSE3,
        CpuidFeature.SSE4_1, CpuidFeature.SSE4_2, CpuidFeature.AVX, CpuidFeature.AVX2, CpuidFeature.FMA,
        CpuidFeature.F16C, CpuidFeature.AES, CpuidFeature.PCLMULQDQ, CpuidFeature.SHA, CpuidFeature.BMI1,
        CpuidFeature.BMI2, CpuidFeature.ADX, CpuidFeature.MOVBE, CpuidFeature.POPCNT, CpuidFeature.LZCNT,
        CpuidFeature.CLFSH, CpuidFeature.CLFLUSHOPT, CpuidFeature.CLWB, CpuidFeature.PREFETCHW,
        CpuidFeature.CET_IBT,
    }.Union(NewerFeatures().Where(GuestFeatures.Offers)).ToHashSet();

    private static CpuidFeature[] NewerFeatures() =>
    [
        CpuidFeature.GFNI, CpuidFeature.VAES, CpuidFeature.VPCLMULQDQ, CpuidFeature.AVX_VNNI, CpuidFeature.AVX512F,
        CpuidFeature.AVX512VL, CpuidFeature.AVX512BW, CpuidFeature.AVX512DQ, CpuidFeature.AVX512CD,
        CpuidFeature.AVX512_IFMA, CpuidFeature.AVX512_VBMI, CpuidFeature.AVX512_VBMI2, CpuidFeature.AVX512_VNNI,
        CpuidFeature.AVX512_BITALG, CpuidFeature.AVX512_VPOPCNTDQ, CpuidFeature.AVX512_BF16, CpuidFeature.AVX512_FP16,
    ];

    /// <summary>Forms of those features that are not generated, and why.</summary>
    public static string? Excluded(Code code)
    {
        OpCodeInfo opCode = code.ToOpCode();
        if (opCode.Encoding is not (EncodingKind.Legacy or EncodingKind.VEX or EncodingKind.EVEX))
        {
            return "no legacy, VEX or EVEX encoding";
        }
        if (opCode.IsPrivileged)
        {
            return "privileged: the engine's contract tests";
        }
        return opCode.Mnemonic switch
        {
            Mnemonic.Syscall or Mnemonic.Sysret or Mnemonic.Sysenter or Mnemonic.Sysexit or Mnemonic.Int
                or Mnemonic.Int1 or Mnemonic.Int3 or Mnemonic.Into or Mnemonic.Iret or Mnemonic.Iretd
                or Mnemonic.Iretq or Mnemonic.Hlt or Mnemonic.In or Mnemonic.Out or Mnemonic.Cli or Mnemonic.Sti
                or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd or Mnemonic.Outsb or Mnemonic.Outsw
                or Mnemonic.Outsd => "leaves to the monitor: the engine's contract tests",
            Mnemonic.Cpuid or Mnemonic.Rdtsc or Mnemonic.Rdpmc => "its result is not a function of the state",
            Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr or Mnemonic.Verw or Mnemonic.Sgdt or Mnemonic.Sidt
                or Mnemonic.Sldt or Mnemonic.Str or Mnemonic.Smsw or Mnemonic.Arpl => "descriptor tables differ",
            Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lds or Mnemonic.Les => "loads a segment",
            Mnemonic.Mov when opCode.Op0Kind is OpCodeOperandKind.seg_reg or OpCodeOperandKind.cr_reg
                or OpCodeOperandKind.dr_reg or OpCodeOperandKind.tr_reg => "loads a segment or system register",
            Mnemonic.Mov when opCode.Op1Kind is OpCodeOperandKind.cr_reg or OpCodeOperandKind.dr_reg
                => "reads a system register",
            Mnemonic.Pop when IsSegment(opCode.Op0Kind) => "loads a segment",
            Mnemonic.Push when opCode.OperandSize == 32 && IsSegment(opCode.Op0Kind) =>
                "whether the upper half of the slot is written is each processor's own choice",
            Mnemonic.Jmp or Mnemonic.Call when IsFar(opCode) => "far branch",
            Mnemonic.Retf => "far branch",
            Mnemonic.Bswap when opCode.OperandSize == 16 => "result undefined",
            Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2 => "ends every sequence",
            Mnemonic.Bound => "tested by hand",
            Mnemonic.Femms or Mnemonic.Prefetchwt1 or Mnemonic.Jmpe or Mnemonic.Wbinvd or Mnemonic.Loadall
                or Mnemonic.Umov or Mnemonic.Xbts or Mnemonic.Ibts or Mnemonic.Rdudbg
                or Mnemonic.Wrudbg or Mnemonic.Ffreep => "not in current processors or undocumented",
            Mnemonic.Fstdw or Mnemonic.Fstsg or Mnemonic.Frstpm or Mnemonic.Fsetpm or Mnemonic.Fnsetpm
                or Mnemonic.Feni or Mnemonic.Fneni or Mnemonic.Fdisi or Mnemonic.Fndisi
                or Mnemonic.Frinear or Mnemonic.Frint2 or Mnemonic.Frichop => "only on old coprocessors",
            _ => null,
        };
    }

    /// <summary>
    /// Forms that are not made to fault on their operand: cache hints are no accesses to the engine, and VCVTPS2PH
    /// raises #XM before or after it stores, as each processor likes. Of MOVSXD see
    /// <see cref="AccessBytes"/>.
    /// </summary>
    public static bool MayFault(OpCodeInfo opCode) => opCode.Code != Code.Movsxd_r16_rm16
        && opCode.Mnemonic is not (Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb or Mnemonic.Vcvtps2ph);

    /// <summary>
    /// Bytes that a memory operand has to have room for. MOVSXD to a 16-bit register reads two on Intel's processors,
    /// four on AMD's.
    /// </summary>
    public static int AccessBytes(OpCodeInfo opCode) => opCode.Code == Code.Movsxd_r16_rm16 ? sizeof(int)
        : Math.Max(1, opCode.MemorySize.GetSize());

    /// <summary>Branches and calls: built into the structure of a sequence, not picked as single instructions.</summary>
    public static bool IsNearBranch(Code code) => code.ToOpCode() is var o && (o.Mnemonic is Mnemonic.Ret
        || code.FlowControl() is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch
            or FlowControl.IndirectBranch or FlowControl.Call or FlowControl.IndirectCall or FlowControl.Return);

    private static bool IsSegment(OpCodeOperandKind kind) => kind is OpCodeOperandKind.es or OpCodeOperandKind.cs
        or OpCodeOperandKind.ss or OpCodeOperandKind.ds or OpCodeOperandKind.fs or OpCodeOperandKind.gs;

    private static bool IsFar(OpCodeInfo o) => o.Op0Kind is OpCodeOperandKind.farbr2_2 or OpCodeOperandKind.farbr4_2
        || o.ToInstructionString().Contains("m16:", StringComparison.Ordinal);

    /// <summary>Forms to generate in a mode, by code number.</summary>
    public static IReadOnlyList<CatalogEntry> For(int bitness) => bitness == 64 ? s_long.Value : s_compatibility.Value;

    private static readonly Lazy<IReadOnlyList<CatalogEntry>> s_long = new(() => Collect(64));
    private static readonly Lazy<IReadOnlyList<CatalogEntry>> s_compatibility = new(() => Collect(32));

    private static IReadOnlyList<CatalogEntry> Collect(int bitness)
    {
        var entries = new List<CatalogEntry>();
        foreach (Code code in Enum.GetValues<Code>())
        {
            OpCodeInfo opCode = code.ToOpCode();
            bool inMode = bitness == 64 ? opCode.Mode64 : opCode.Mode32;
            if (!opCode.IsInstruction || !inMode || !code.CpuidFeatures().All(Features.Contains))
            {
                continue;
            }
            if (Excluded(code) == null && !IsNearBranch(code))
            {
                entries.Add(new CatalogEntry(code, opCode, Classify(code, opCode)));
            }
        }
        return entries;
    }

    private static Family Classify(Code code, OpCodeInfo opCode)
    {
        CpuidFeature feature = code.CpuidFeatures()[0];
        if (opCode.CanUseRepPrefix || opCode.CanUseRepnePrefix)
        {
            return Family.String;
        }
        if (code.IsStackInstruction())
        {
            return Family.Stack;
        }
        if (opCode.Encoding == EncodingKind.EVEX)
        {
            return Family.Avx512;
        }
        return feature switch
        {
            CpuidFeature.AVX512F or CpuidFeature.AVX512BW or CpuidFeature.AVX512DQ => Family.Opmask,
            CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 => Family.X87,
            CpuidFeature.MMX => Family.Mmx,
            CpuidFeature.SSE or CpuidFeature.SSE2 or CpuidFeature.SSE3 or CpuidFeature.SSSE3
                or CpuidFeature.SSE4_1 or CpuidFeature.SSE4_2 => Family.Sse,
            CpuidFeature.AVX or CpuidFeature.F16C => Family.Avx,
            CpuidFeature.AVX2 => Family.Avx2,
            CpuidFeature.FMA => Family.Fma,
            CpuidFeature.AVX_VNNI => Family.Avx2,
            CpuidFeature.AES or CpuidFeature.PCLMULQDQ or CpuidFeature.SHA or CpuidFeature.GFNI or CpuidFeature.VAES
                or CpuidFeature.VPCLMULQDQ => Family.Crypto,
            CpuidFeature.BMI1 or CpuidFeature.BMI2 or CpuidFeature.ADX or CpuidFeature.MOVBE
                or CpuidFeature.POPCNT or CpuidFeature.LZCNT => Family.Bmi,
            _ => opCode.Mnemonic is Mnemonic.Mul or Mnemonic.Imul or Mnemonic.Div or Mnemonic.Idiv
                ? Family.IntegerWide
                : ReadsFlags(code) ? Family.Flags : Family.Integer,
        };
    }

    private static bool ReadsFlags(Code code)
    {
        Instruction probe = default;
        probe.Code = code;
        return probe.RflagsRead is not (RflagsBits.None or RflagsBits.DF);
    }
}
