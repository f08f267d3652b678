using System;
using System.Collections.Generic;
using System.Linq;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// Random sequences of 5 to 40 instructions with forward branches, counted loops, calls, indirect jumps, parts
/// out of line and stack frames. One seed, one sequence.
/// </summary>
public sealed class RandomCases
{
    private static readonly (Family Family, int Weight)[] s_mixes =
    [
        (Family.Integer, 26), (Family.IntegerWide, 4), (Family.Stack, 7), (Family.String, 4), (Family.Flags, 12),
        (Family.X87, 8), (Family.Mmx, 4), (Family.Sse, 12), (Family.Avx, 8), (Family.Avx2, 5), (Family.Fma, 3),
        (Family.Crypto, 2), (Family.Bmi, 5), (Family.Avx512, 12), (Family.Opmask, 2),
    ];

    private static readonly Code[] s_conditional64 =
    [
        Code.Jo_rel8_64, Code.Jno_rel8_64, Code.Jb_rel8_64, Code.Jae_rel8_64, Code.Je_rel8_64, Code.Jne_rel8_64,
        Code.Jbe_rel8_64, Code.Ja_rel8_64, Code.Js_rel8_64, Code.Jns_rel8_64, Code.Jp_rel8_64, Code.Jnp_rel8_64,
        Code.Jl_rel8_64, Code.Jge_rel8_64, Code.Jle_rel8_64, Code.Jg_rel8_64,
        Code.Jo_rel32_64, Code.Jno_rel32_64, Code.Jb_rel32_64, Code.Jae_rel32_64, Code.Je_rel32_64, Code.Jne_rel32_64,
        Code.Jbe_rel32_64, Code.Ja_rel32_64, Code.Js_rel32_64, Code.Jns_rel32_64, Code.Jp_rel32_64, Code.Jnp_rel32_64,
        Code.Jl_rel32_64, Code.Jge_rel32_64, Code.Jle_rel32_64, Code.Jg_rel32_64,
    ];

    private readonly Dictionary<Family, CatalogEntry[]> _byFamily;
    private readonly int _bitness;
    private CaseBuilder _builder = null!;
    private int _depth;

    public RandomCases(int bitness)
    {
        _bitness = bitness;
        _byFamily = InstructionCatalog.For(bitness).GroupBy(e => e.Family).ToDictionary(g => g.Key, g => g.ToArray());
    }

    private Rng Rng => _builder.Rng;

    private Blob Blob => _builder.Blob;

    private Synthesizer Synthesizer => _builder.Synthesizer;

    private KnownRegisters Known => _builder.Synthesizer.Known;

    public (CaseBuilder Builder, GeneratedCase Case) Make(ulong seed)
    {
        string name = $"random {_bitness} {CaseBuilder.Number(seed)}";
        _builder = new CaseBuilder(name, new Rng(seed), _bitness, faultPercent: 1);
        _depth = 0;
        // One sequence stays with few families, so that their instructions meet often.
        (Family, int)[] mix = Rng.Percent(50) ? s_mixes : [.. s_mixes.Where(_ => Rng.Percent(40))];
        mix = mix.Length == 0 ? s_mixes : mix;
        if (Rng.Percent(20))
        {
            new StackFrames(_builder, _bitness).Add(() => Several(Rng.Between(1, 8), mix));
        }
        Several(Rng.Between(5, 40), mix);
        return (_builder, _builder.Finish());
    }

    private void Several(int count, (Family, int)[] mix)
    {
        for (int i = 0; i < count; i++)
        {
            int action = Rng.Below(100);
            if (action < 84 || _depth >= 3)
            {
                One(mix);
                continue;
            }
            _depth++;
            switch (action % 9)
            {
                case 0 or 1:
                    Skip(mix);
                    break;
                case 2:
                    Loop(mix);
                    break;
                case 3:
                    Call(mix);
                    break;
                case 4:
                    JumpIndirect(mix);
                    break;
                case 5:
                    OutOfLine(mix);
                    break;
                case 6:
                    FlagConsumers.Add(_builder);
                    break;
                case 7:
                    new StackFrames(_builder, _bitness).Add(() => Several(Rng.Between(1, 4), mix));
                    break;
                default:
                    SkipOnCounter(mix);
                    break;
            }
            _depth--;
        }
    }

    private void One((Family Family, int Weight)[] mix)
    {
        int at = Rng.Below(mix.Sum(m => m.Weight));
        foreach ((Family family, int weight) in mix)
        {
            at -= weight;
            if (at < 0)
            {
                if (_byFamily.TryGetValue(family, out CatalogEntry[]? entries))
                {
                    Synthesizer.TryAdd(Rng.Pick<CatalogEntry>(entries), new Demand());
                }
                return;
            }
        }
    }

    private static Code InMode(Code code64, int bitness) => bitness == 64
        ? code64
        : Enum.Parse<Code>(code64.ToString().Replace("_64", "_32", StringComparison.Ordinal));

    private Code Conditional(bool near) => InMode(s_conditional64[Rng.Below(16) + (near ? 16 : 0)], _bitness);

    private static Instruction Branch(Code code) => Instruction.CreateBranch(code, 0);

    /// <summary>A conditional branch over a few instructions.</summary>
    private void Skip((Family, int)[] mix)
    {
        int label = Blob.NewLabel();
        bool near = Rng.Percent(50);
        Blob.Add(Branch(Conditional(near)), label);
        ulong?[] taken = Known.Snapshot();
        if (near)
        {
            Several(Rng.Between(1, 6), mix);
        }
        else
        {
            // One instruction with what it needs stays within the reach of a short branch.
            One(mix);
        }
        Blob.Mark(label);
        Known.Meet(taken);
    }

    /// <summary>JRCXZ, JECXZ or LOOPcc over one instruction that is sure to be near.</summary>
    private void SkipOnCounter((Family, int)[] mix)
    {
        Code[] codes = _bitness == 64
            ? [Code.Jrcxz_rel8_64, Code.Jecxz_rel8_64, Code.Loop_rel8_64_RCX, Code.Loopne_rel8_64_RCX,
                Code.Loope_rel8_64_RCX, Code.Loop_rel8_64_ECX]
            : [Code.Jecxz_rel8_32, Code.Loop_rel8_32_ECX, Code.Loopne_rel8_32_ECX, Code.Loope_rel8_32_ECX];
        if (Known.IsReserved(Gpr.Rcx))
        {
            return;
        }
        int label = Blob.NewLabel();
        if (Rng.Percent(60))
        {
            Synthesizer.LoadNow(Gpr.Rcx, SmallCount());
        }
        Synthesizer.Add(Branch(Rng.Pick<Code>(codes)), label);
        ulong?[] taken = Known.Snapshot();
        One(mix);
        Blob.Mark(label);
        Known.Meet(taken);
    }

    /// <summary>0 to 2, with or without something in the upper half.</summary>
    private ulong SmallCount()
    {
        ulong upper = _bitness == 64 && Rng.Percent(50) ? Rng.Next() << 32 : 0;
        return upper | (uint)Rng.Below(3);
    }

    /// <summary>A loop of 1 to 12 rounds; its counter and the pointers it uses are left alone inside.</summary>
    private void Loop((Family, int)[] mix)
    {
        ushort before = Known.Reserved;
        var counter = (Gpr)Rng.Below(_bitness == 64 ? 16 : 8);
        if (counter == Gpr.Rsp || Known.IsReserved(counter))
        {
            return;
        }
        Synthesizer.LoadNow(counter, (ulong)Rng.Between(1, 12));
        Known.Reserved |= (ushort)(1 << (int)counter | 1 << (int)Gpr.Rsp);
        for (int i = 0; i < 3; i++)
        {
            Known.Reserved |= (ushort)(1 << Rng.Below(16));
        }
        Known.ForgetAllButReserved();
        Known[counter] = null;
        int head = Blob.NewLabel();
        Blob.Mark(head);
        Several(Rng.Between(1, 6), mix);
        Known.Reserved = before;
        EndLoop(counter, head);
        Known[counter] = 0;
    }

    private void EndLoop(Gpr counter, int head)
    {
        Register wide = (_bitness == 64 ? Register.RAX : Register.EAX) + (int)counter;
        Instruction step = (_bitness, Rng.Below(3)) switch
        {
            (64, 0) => Instruction.Create(Code.Dec_rm64, wide),
            (64, 1) => Instruction.Create(Code.Sub_rm64_imm8, wide, 1),
            (64, _) => Instruction.Create(Code.Dec_rm32, Register.EAX + (int)counter),
            (_, 0) => Instruction.Create(Code.Dec_rm32, wide),
            _ => Instruction.Create(Code.Sub_rm32_imm8, wide, 1),
        };
        Synthesizer.Add(step);
        Blob.Add(Branch(InMode(Code.Jne_rel32_64, _bitness)), head);
    }

    /// <summary>A call to a subroutine out of line, direct or through a register, with RET or RET n.</summary>
    private void Call((Family, int)[] mix)
    {
        if (Known.IsReserved(Gpr.Rsp))
        {
            return;
        }
        Synthesizer.LoadNow(Gpr.Rsp, AddressLayout.Stack + 2 * AddressLayout.PageSize + (ulong)Rng.Between(-100, 100) * 8);
        int routine = Blob.NewLabel(), back = Blob.NewLabel();
        BlobItem call = AddTransfer(routine, call: true);
        call.Stops = true;
        Blob.Mark(back);
        ushort before = Known.Reserved;
        Blob.OutOfLine(() =>
        {
            Blob.Mark(routine);
            Known.Reserved |= 1 << (int)Gpr.Rsp;
            Several(Rng.Between(1, 4), mix);
            Known.Reserved = before;
            bool plain = Rng.Percent(70);
            Code ret = _bitness == 64 ? plain ? Code.Retnq : Code.Retnq_imm16 : plain ? Code.Retnd : Code.Retnd_imm16;
            Instruction instruction = plain ? Instruction.Create(ret) : Instruction.Create(ret, Rng.Below(5) * 8);
            BlobItem item = Synthesizer.Add(instruction);
            item.Stops = true;
            item.IndirectTargets = [back];
        });
    }

    /// <summary>Jumps to a label by register or through memory; what is jumped over must not run.</summary>
    private void JumpIndirect((Family, int)[] mix)
    {
        int label = Blob.NewLabel();
        AddTransfer(label, call: false).Stops = true;
        ulong?[] taken = Known.Snapshot();
        One(mix);
        Known.Restore(taken);
        Blob.Mark(label);
    }

    private BlobItem AddTransfer(int label, bool call)
    {
        if (Rng.Percent(40))
        {
            Code direct = call ? Code.Call_rel32_64 : Code.Jmp_rel32_64;
            return Synthesizer.Add(Branch(InMode(direct, _bitness)), label);
        }
        Gpr register;
        do
        {
            register = (Gpr)Rng.Below(_bitness == 64 ? 16 : 8);
        }
        while (register == Gpr.Rsp || Known.IsReserved(register));
        bool is64 = _bitness == 64;
        Register name = (is64 ? Register.RAX : Register.EAX) + (int)register;
        Synthesizer.Add(is64 ? Instruction.Create(Code.Mov_r64_imm64, name, 0UL)
            : Instruction.Create(Code.Mov_r32_imm32, name, 0), label);
        Known[register] = null;
        if (Rng.Percent(60))
        {
            Code code = call ? is64 ? Code.Call_rm64 : Code.Call_rm32 : is64 ? Code.Jmp_rm64 : Code.Jmp_rm32;
            return Aimed(Synthesizer.Add(Instruction.Create(code, name)), label);
        }
        ulong slot = AddressLayout.Data + (ulong)Rng.Below(AddressLayout.PageSize) * 4;
        var memory = new MemoryOperand(Register.None, Register.None, 1, (long)slot, is64 ? 8 : 4);
        Synthesizer.Add(Instruction.Create(is64 ? Code.Mov_rm64_r64 : Code.Mov_rm32_r32, memory, name));
        Code through = call ? is64 ? Code.Call_rm64 : Code.Call_rm32 : is64 ? Code.Jmp_rm64 : Code.Jmp_rm32;
        return Aimed(Synthesizer.Add(Instruction.Create(through, memory)), label);
    }

    private static BlobItem Aimed(BlobItem item, int label)
    {
        item.IndirectTargets = [label];
        return item;
    }

    /// <summary>Jumps to a part behind the end of the sequence and back.</summary>
    private void OutOfLine((Family, int)[] mix)
    {
        int there = Blob.NewLabel(), back = Blob.NewLabel();
        Blob.Add(Branch(InMode(Rng.Percent(50) ? Code.Jne_rel32_64 : Code.Jb_rel32_64, _bitness)), there);
        ulong?[] straight = Known.Snapshot();
        Blob.OutOfLine(() =>
        {
            Blob.Mark(there);
            Several(Rng.Between(1, 4), mix);
            BlobItem jump = Blob.Add(Branch(InMode(Code.Jmp_rel32_64, _bitness)), back);
            jump.Stops = true;
        });
        Blob.Mark(back);
        Known.Meet(straight);
    }
}
