using System;
using Iced.Intel;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>How the translator treats an instruction form.</summary>
internal enum Rule : byte
{
    Unknown,

    /// <summary>Re-encoded with host registers and a checked operand.</summary>
    Generic,

    /// <summary>Has a rule of its own in the translator.</summary>
    Special,

    /// <summary>Emulated in C#.</summary>
    Slow,

    /// <summary>Not part of the guest's CPU: #UD.</summary>
    Undefined,

    /// <summary>Does nothing that the guest can see.</summary>
    Nop,
}

/// <summary>Facts about instruction forms (Iced's Code), worked out once per form and kept.</summary>
internal static class InstructionClass
{
    private const int Forms = 8192;
    private static readonly byte[] Rules = new byte[Forms];
    private static readonly byte[] Access = new byte[Forms];

    public static Rule RuleOf(in Instruction instruction)
    {
        if (IsRegisterPrefetch(instruction))
        {
            return RegisterPrefetch;
        }
        int code = (int)instruction.Code;
        Rule known = (Rule)Rules[code];
        if (known == Rule.Unknown)
        {
            known = Classify(instruction);
            Rules[code] = (byte)known;
        }
        return known;
    }

    /// <summary>
    /// 0F 0D with a register: a NOP to Intel's processors, #UD to AMD's (AMD64 manual 3, PREFETCH: "the operand was
    /// a register"). The guest has the host's processor, so it sees what the host does.
    /// </summary>
    private static readonly Rule RegisterPrefetch = HostCpuid.IsAmd ? Rule.Undefined : Rule.Nop;

    private static bool IsRegisterPrefetch(in Instruction i) => i.Code is (Code.Reservednop_rm16_r16_0F0D
        or Code.Reservednop_rm32_r32_0F0D or Code.Reservednop_rm64_r64_0F0D) && i.Op0Kind == OpKind.Register;

    /// <summary>True when the form writes its memory operand.</summary>
    public static bool WritesMemory(in Instruction instruction)
    {
        int code = (int)instruction.Code;
        if (Access[code] == 0)
        {
            bool writes = false;
            InstructionInfo info = new InstructionInfoFactory().GetInfo(instruction);
            foreach (UsedMemory memory in info.GetUsedMemory())
            {
                writes |= memory.Access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite
                    or OpAccess.ReadCondWrite;
            }
            Access[code] = (byte)(writes ? 2 : 1);
        }
        return Access[code] == 2;
    }

    private static Rule Classify(in Instruction i)
    {
        if (i.Encoding is EncodingKind.MVEX or EncodingKind.XOP or EncodingKind.D3NOW)
        {
            return Rule.Undefined;
        }
        if (IsStateMove(i.Mnemonic))
        {
            return HostState.HasCompaction || i.Mnemonic is not (Mnemonic.Xsavec or Mnemonic.Xsavec64) ? Rule.Special : Rule.Undefined;
        }
        Rule named = ByMnemonic(i);
        if (named != Rule.Unknown)
        {
            return named;
        }
        if (i.FlowControl == FlowControl.ConditionalBranch)
        {
            return Rule.Special;
        }
        foreach (CpuidFeature feature in i.CpuidFeatures)
        {
            if (!IsOffered(feature))
            {
                return Rule.Undefined;
            }
        }
        if (i.IsPrivileged)
        {
            return Rule.Slow;
        }
        if (IsSegmentMove(i))
        {
            return Rule.Special;
        }
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register && i.GetOpRegister(n) is >= Register.ES and <= Register.GS)
            {
                return Rule.Slow;
            }
        }
        return i.IsVsib ? Rule.Slow : Rule.Generic;
    }

    /// <summary>Saves or loads all of floating-point, vector and mask state.</summary>
    public static bool IsStateMove(Mnemonic mnemonic) => mnemonic is Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64
        or Mnemonic.Xrstor or Mnemonic.Xrstor64;

    /// <summary>MOV from or to a segment register.</summary>
    public static bool IsSegmentMove(in Instruction i) => i.Code is Code.Mov_rm16_Sreg or Code.Mov_r32m16_Sreg or Code.Mov_r64m16_Sreg
        or Code.Mov_Sreg_rm16 or Code.Mov_Sreg_r32m16 or Code.Mov_Sreg_r64m16;

    private static Rule ByMnemonic(in Instruction i) => i.Mnemonic switch
    {
        Mnemonic.Nop or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Prefetchnta or Mnemonic.Prefetcht0
            or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchw or Mnemonic.Prefetch
            or Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb or Mnemonic.Cldemote
            or Mnemonic.Reservednop or Mnemonic.Rdsspd or Mnemonic.Rdsspq or Mnemonic.Prefetchwt1
            or Mnemonic.Serialize => Rule.Nop,
        Mnemonic.Push or Mnemonic.Pop or Mnemonic.Call or Mnemonic.Ret or Mnemonic.Jmp or Mnemonic.Leave
            or Mnemonic.Lea or Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jcxz
            or Mnemonic.Jecxz or Mnemonic.Jrcxz or Mnemonic.Syscall or Mnemonic.Cli or Mnemonic.Sti
            or Mnemonic.Cld or Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc or Mnemonic.Ud2
            or Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq
            or Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq
            or Mnemonic.Xlatb => IsSseMovsd(i) ? Rule.Generic : Rule.Special,
        Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq or Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq
            or Mnemonic.Std or Mnemonic.Enter or Mnemonic.Pusha or Mnemonic.Pushad or Mnemonic.Popa or Mnemonic.Popad
            or Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq or Mnemonic.Retf or Mnemonic.Int or Mnemonic.Int1
            or Mnemonic.Int3 or Mnemonic.Into or Mnemonic.Sysenter or Mnemonic.Lodsb or Mnemonic.Lodsw
            or Mnemonic.Lodsd or Mnemonic.Lodsq or Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd
            or Mnemonic.Scasq or Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsq or Mnemonic.Insb
            or Mnemonic.Insw or Mnemonic.Insd or Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd
            or Mnemonic.Cpuid or Mnemonic.Xgetbv or Mnemonic.Xsetbv or Mnemonic.Rdtscp or Mnemonic.Rdpmc
            or Mnemonic.Rdpid or Mnemonic.In or Mnemonic.Out or Mnemonic.Sgdt or Mnemonic.Sidt or Mnemonic.Sldt
            or Mnemonic.Str or Mnemonic.Smsw or Mnemonic.Lsl or Mnemonic.Lar or Mnemonic.Verr or Mnemonic.Verw
            or Mnemonic.Lds or Mnemonic.Les or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Lss or Mnemonic.Arpl
            or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu or Mnemonic.Maskmovq or Mnemonic.Vmaskmovps
            or Mnemonic.Vmaskmovpd or Mnemonic.Vpmaskmovd or Mnemonic.Vpmaskmovq or Mnemonic.Bound
            or Mnemonic.Aaa or Mnemonic.Aas or Mnemonic.Aam or Mnemonic.Aad or Mnemonic.Daa or Mnemonic.Das
            or Mnemonic.Salc or Mnemonic.Rsm => Rule.Slow,
        Mnemonic.Cmpsd => i.IsStringInstruction ? Rule.Slow : Rule.Unknown,
        Mnemonic.INVALID or Mnemonic.Xbegin or Mnemonic.Xabort or Mnemonic.Xend or Mnemonic.Xtest
            or Mnemonic.Monitor or Mnemonic.Mwait or Mnemonic.Monitorx or Mnemonic.Mwaitx or Mnemonic.Ud0
            or Mnemonic.Ud1 or Mnemonic.Xsaveopt or Mnemonic.Xsaveopt64
            or Mnemonic.Xsaves or Mnemonic.Xsaves64 or Mnemonic.Xrstors or Mnemonic.Xrstors64
            or Mnemonic.Rdfsbase or Mnemonic.Rdgsbase or Mnemonic.Wrfsbase or Mnemonic.Wrgsbase
            or Mnemonic.Rdpkru or Mnemonic.Wrpkru or Mnemonic.Umonitor or Mnemonic.Umwait or Mnemonic.Tpause
            or Mnemonic.Vmcall or Mnemonic.Vmmcall or Mnemonic.Vmfunc => Rule.Undefined,
        _ => Rule.Unknown,
    };

    /// <summary>MOVSD and CMPSD name both a string and an SSE2 instruction.</summary>
    private static bool IsSseMovsd(in Instruction i) => i.Mnemonic == Mnemonic.Movsd && !i.IsStringInstruction;

    /// <summary>Leaf 7 as the guest may see it: ebx, ecx, edx, and eax of subleaf 1.</summary>
    private static readonly (uint Ebx, uint Ecx, uint Edx, uint Eax1) Newer = (HostCpuid.Read(7, 0).Ebx, HostCpuid.Read(7, 0).Ecx,
        HostCpuid.Read(7, 0).Edx, HostCpuid.Read(7, 1).Eax);

    private static bool Has(uint features, int bit) => (features >> bit & 1) != 0;

    private static bool IsOffered(CpuidFeature feature) => feature switch
    {
        CpuidFeature.INTEL8086 or CpuidFeature.INTEL8086_ONLY or CpuidFeature.INTEL186 or CpuidFeature.INTEL286
            or CpuidFeature.INTEL286_ONLY or CpuidFeature.INTEL386 or CpuidFeature.INTEL486 or CpuidFeature.X64
            or CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 or CpuidFeature.CMOV
            or CpuidFeature.CX8 or CpuidFeature.CMPXCHG16B or CpuidFeature.MMX or CpuidFeature.SSE
            or CpuidFeature.SSE2 or CpuidFeature.SSE3 or CpuidFeature.SSSE3 or CpuidFeature.SSE4_1
            or CpuidFeature.SSE4_2 or CpuidFeature.POPCNT or CpuidFeature.LZCNT or CpuidFeature.BMI1
            or CpuidFeature.BMI2 or CpuidFeature.ADX or CpuidFeature.MOVBE or CpuidFeature.AES
            or CpuidFeature.PCLMULQDQ or CpuidFeature.SHA or CpuidFeature.F16C or CpuidFeature.FMA
            or CpuidFeature.AVX or CpuidFeature.AVX2 or CpuidFeature.RDRAND or CpuidFeature.RDSEED
            or CpuidFeature.FXSR or CpuidFeature.XSAVE or CpuidFeature.TSC or CpuidFeature.PAUSE
            or CpuidFeature.MULTIBYTENOP or CpuidFeature.MSR or CpuidFeature.CLFSH or CpuidFeature.CPUID
            or CpuidFeature.SEP or CpuidFeature.SYSCALL or CpuidFeature.SMM => true,
        CpuidFeature.AVX512F => Has(Newer.Ebx, 16),
        CpuidFeature.AVX512DQ => Has(Newer.Ebx, 17),
        CpuidFeature.AVX512_IFMA => Has(Newer.Ebx, 21),
        CpuidFeature.AVX512CD => Has(Newer.Ebx, 28),
        CpuidFeature.AVX512BW => Has(Newer.Ebx, 30),
        CpuidFeature.AVX512VL => Has(Newer.Ebx, 31),
        CpuidFeature.AVX512_VBMI => Has(Newer.Ecx, 1),
        CpuidFeature.AVX512_VBMI2 => Has(Newer.Ecx, 6),
        CpuidFeature.GFNI => Has(Newer.Ecx, 8),
        CpuidFeature.VAES => Has(Newer.Ecx, 9),
        CpuidFeature.VPCLMULQDQ => Has(Newer.Ecx, 10),
        CpuidFeature.AVX512_VNNI => Has(Newer.Ecx, 11),
        CpuidFeature.AVX512_BITALG => Has(Newer.Ecx, 12),
        CpuidFeature.AVX512_VPOPCNTDQ => Has(Newer.Ecx, 14),
        CpuidFeature.AVX512_FP16 => Has(Newer.Edx, 23),
        CpuidFeature.AVX_VNNI => Has(Newer.Eax1, 4),
        CpuidFeature.AVX512_BF16 => Has(Newer.Eax1, 5),
        _ => false,
    };
}
