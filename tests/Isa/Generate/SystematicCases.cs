using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// For one instruction form, every operand register, every way to address memory, every awkward place of a
/// memory operand. A few of them make one sequence; between them flags are consumed.
/// </summary>
public static class SystematicCases
{
    private const int PerSequence = 5;

    /// <param name="stride">1: every demand; n: every nth, another choice for each form and seed</param>
    public static IEnumerable<(CaseBuilder Builder, GeneratedCase Case)> For(
        CatalogEntry entry, int bitness, ulong seed, int stride)
    {
        List<Demand> demands = Demands(entry, bitness);
        var rng = new Rng(seed * 1_000_003 + (ulong)entry.Code);
        var chosen = new List<Demand>();
        int offset = rng.Below(stride);
        for (int i = 0; i < demands.Count; i++)
        {
            if (i % stride == offset % stride || demands.Count < stride)
            {
                chosen.Add(demands[i]);
            }
        }
        bool mayFault = CanBeMemory(entry) && InstructionCatalog.MayFault(entry.OpCode);
        Demand[] faulting = entry.OpCode.CanUseOpMaskRegister ? [.. s_faulting, .. s_edges] : s_faulting;
        for (int i = 0; i < faulting.Length && mayFault; i++)
        {
            // After PerSequence - 1 others, when that many are left.
            chosen.Insert(Math.Min(chosen.Count, i * PerSequence + PerSequence - 1), faulting[i]);
        }
        for (int at = 0; at < chosen.Count; at += PerSequence)
        {
            string name = $"systematic {entry.Code} {bitness} {CaseBuilder.Number(seed)} {stride} {at / PerSequence}";
            var builder = new CaseBuilder(name, rng.Fork(), bitness, faultPercent: 1);
            int added = 0;
            for (int i = at; i < at + PerSequence && i < chosen.Count; i++)
            {
                added += Add(builder, entry, chosen[i]) ? 1 : 0;
            }
            if (added > 0)
            {
                yield return (builder, builder.Finish());
            }
        }
    }

    private static bool Add(CaseBuilder builder, CatalogEntry entry, Demand demand)
    {
        if (!builder.Synthesizer.TryAdd(entry, demand))
        {
            return false;
        }
        if (builder.Rng.Percent(40))
        {
            FlagConsumers.Add(builder);
        }
        return true;
    }

    private static List<Demand> Demands(CatalogEntry entry, int bitness)
    {
        var demands = new List<Demand>();
        for (int i = 0; i < entry.OpCode.OpCount; i++)
        {
            OpCodeOperandKind kind = entry.OpCode.GetOpKind(i);
            for (int n = 0; IsRegister(kind) && n < RegisterCount(kind, entry, bitness); n++)
            {
                demands.Add(new Demand { Memory = false, RegisterOperand = i, RegisterNumber = n });
            }
        }
        if (CanBeMemory(entry))
        {
            AddMemoryDemands(demands, entry, bitness);
        }
        if (entry.OpCode.Encoding == EncodingKind.EVEX)
        {
            AddDecorationDemands(demands, entry);
        }
        if (entry.Family == Family.String)
        {
            AddStringDemands(demands);
        }
        if (demands.Count == 0)
        {
            demands.AddRange([new Demand(), new Demand(), new Demand()]);
        }
        return demands;
    }

    private static void AddMemoryDemands(List<Demand> demands, CatalogEntry entry, int bitness)
    {
        int registers = bitness == 64 ? 16 : 8;
        for (int n = 0; n < registers; n++)
        {
            demands.Add(new Demand { Memory = true, Form = AddressForm.Base, Base = (Gpr)n, RegisterOperand = 0 });
            demands.Add(new Demand { Memory = true, Form = AddressForm.BaseIndex, Index = (Gpr)n, Lock = n % 4 == 0 });
        }
        AddressForm[] forms = [AddressForm.SameBaseIndex, AddressForm.Index, AddressForm.Absolute, AddressForm.RipRelative];
        foreach (AddressForm form in forms)
        {
            demands.Add(new Demand { Memory = true, Form = form });
            demands.Add(new Demand { Memory = true, Form = form, ShortAddress = true });
        }
        for (Place place = Place.Aligned; place <= Place.PageEnd; place++)
        {
            demands.Add(new Demand { Memory = true, Place = place });
            demands.Add(new Demand { Memory = true, Place = place, Form = AddressForm.Base });
        }
        for (int i = 0; i < 4; i++)
        {
            demands.Add(new Demand { Memory = true, Segment = i % 2 == 0 ? Register.FS : Register.GS });
            demands.Add(new Demand { Memory = true, Place = Place.PageCrossing });
            demands.Add(new Demand { Memory = true, ShortAddress = true });
            // The number of the operand register matters beside a memory operand too (REX, ah).
            demands.Add(new Demand { Memory = true, RegisterOperand = OtherOperand(entry), RegisterNumber = 4 + i });
        }
    }

    private static void AddDecorationDemands(List<Demand> demands, CatalogEntry entry)
    {
        OpCodeInfo form = entry.OpCode;
        for (int mask = 0; mask < 8 && form.CanUseOpMaskRegister; mask++)
        {
            demands.Add(new Demand { Memory = false, OpMask = mask, Zeroing = mask % 2 == 0 });
            demands.Add(new Demand { Memory = CanBeMemory(entry), OpMask = mask, Zeroing = mask % 4 < 2 });
        }
        for (int i = 0; i < 4 && form.CanBroadcast; i++)
        {
            demands.Add(new Demand { Memory = true, Broadcast = true, Place = i < 2 ? Place.PageEnd : Place.Any });
        }
        for (int i = 0; i < 6 && (form.CanUseRoundingControl || form.CanSuppressAllExceptions); i++)
        {
            demands.Add(new Demand { Memory = false, Rounding = true });
        }
    }

    /// <summary>Of masked operands at an edge about half fault.</summary>
    private static readonly Demand[] s_edges =
    [
        new() { Memory = true, Place = Place.Edge },
        new() { Memory = true, Place = Place.Edge, Form = AddressForm.Base },
        new() { Memory = true, Place = Place.Edge, Broadcast = true },
        new() { Memory = true, Place = Place.Edge, Broadcast = false },
        new() { Memory = true, Place = Place.Edge, Broadcast = false },
        new() { Memory = true, Place = Place.Edge, Broadcast = false },
    ];

    /// <summary>Operands that fault, or may: each ends its sequence.</summary>
    private static readonly Demand[] s_faulting =
    [
        new() { Memory = true, Place = Place.ReadOnly },
        new() { Memory = true, Place = Place.Unmapped },
        new() { Memory = true, Place = Place.NonCanonical, Form = AddressForm.Base },
        new() { Memory = true, Place = Place.Unmapped, Form = AddressForm.Base, Base = Gpr.Rsp },
    ];

    private static void AddStringDemands(List<Demand> demands)
    {
        foreach (Mnemonic repeat in new[] { Mnemonic.Nop, Mnemonic.Cmpsb, Mnemonic.Scasb })
        {
            for (int i = 0; i < 12; i++)
            {
                demands.Add(new Demand { Repeat = repeat, ShortAddress = i % 4 == 3 });
            }
        }
    }

    private static bool CanBeMemory(CatalogEntry entry)
    {
        for (int i = 0; i < entry.OpCode.OpCount; i++)
        {
            if (IsMemory(entry.OpCode.GetOpKind(i)))
            {
                return true;
            }
        }
        return false;
    }

    private static int OtherOperand(CatalogEntry entry) => IsMemory(entry.OpCode.Op0Kind) ? 1 : 0;

    internal static bool IsMemory(OpCodeOperandKind kind) => kind is OpCodeOperandKind.mem or OpCodeOperandKind.mem_mib
        or OpCodeOperandKind.mem_offs or OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem
        or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r64_or_mem or OpCodeOperandKind.mm_or_mem
        or OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.ymm_or_mem or OpCodeOperandKind.mem_vsib32x
        or OpCodeOperandKind.mem_vsib32y or OpCodeOperandKind.mem_vsib64x or OpCodeOperandKind.mem_vsib64y
        or OpCodeOperandKind.mem_vsib32z or OpCodeOperandKind.mem_vsib64z or OpCodeOperandKind.zmm_or_mem
        or OpCodeOperandKind.k_or_mem;

    private static bool IsRegister(OpCodeOperandKind kind) => kind is OpCodeOperandKind.r8_or_mem
        or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r64_or_mem
        or OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.ymm_or_mem
        or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode or OpCodeOperandKind.r16_reg
        or OpCodeOperandKind.r16_rm or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r32_reg
        or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r32_vvvv
        or OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_rm or OpCodeOperandKind.r64_opcode
        or OpCodeOperandKind.r64_vvvv or OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm
        or OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_vvvv
        or OpCodeOperandKind.xmm_is4 or OpCodeOperandKind.ymm_reg or OpCodeOperandKind.ymm_rm
        or OpCodeOperandKind.ymm_vvvv or OpCodeOperandKind.ymm_is4 or OpCodeOperandKind.sti_opcode || IsMask(kind)
        || IsWide(kind) || kind == OpCodeOperandKind.zmm_or_mem;

    private static bool IsMask(OpCodeOperandKind kind) => kind is OpCodeOperandKind.k_reg or OpCodeOperandKind.k_rm
        or OpCodeOperandKind.k_vvvv or OpCodeOperandKind.k_or_mem;

    private static bool IsWide(OpCodeOperandKind kind) =>
        kind is OpCodeOperandKind.zmm_reg or OpCodeOperandKind.zmm_rm or OpCodeOperandKind.zmm_vvvv;

    private static bool IsVector(OpCodeOperandKind kind) => IsWide(kind) || kind is OpCodeOperandKind.xmm_reg
        or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_vvvv or OpCodeOperandKind.xmm_or_mem
        or OpCodeOperandKind.ymm_reg or OpCodeOperandKind.ymm_rm or OpCodeOperandKind.ymm_vvvv
        or OpCodeOperandKind.ymm_or_mem or OpCodeOperandKind.zmm_or_mem;

    private static int RegisterCount(OpCodeOperandKind kind, CatalogEntry entry, int bitness) => kind switch
    {
        OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode => bitness == 64 ? 20 : 8,
        OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm
            or OpCodeOperandKind.sti_opcode => 8,
        _ when IsMask(kind) => 8,
        _ when IsVector(kind) && entry.OpCode.Encoding == EncodingKind.EVEX => bitness == 64 ? 32 : 8,
        _ => bitness == 64 ? 16 : 8,
    };
}

/// <summary>Short instructions whose result depends on the flags.</summary>
public static class FlagConsumers
{
    private static readonly Code[] s_any =
    [
        Code.Sete_rm8, Code.Setb_rm8, Code.Seta_rm8, Code.Sets_rm8, Code.Seto_rm8, Code.Setp_rm8, Code.Setl_rm8,
        Code.Setg_rm8, Code.Cmovb_r32_rm32, Code.Cmovne_r32_rm32, Code.Cmovle_r32_rm32, Code.Adc_rm32_r32,
        Code.Sbb_rm32_r32, Code.Rcl_rm32_1, Code.Rcr_rm32_CL, Code.Lahf, Code.Cmc, Code.Inc_rm32, Code.Setae_rm8,
    ];

    public static void Add(CaseBuilder builder)
    {
        Code code = builder.Rng.Pick<Code>(s_any);
        builder.Synthesizer.TryAdd(new CatalogEntry(code, code.ToOpCode(), Family.Flags), new Demand { Memory = false });
    }
}
