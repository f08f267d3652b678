using System;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// Stack frames as compilers make them, some larger than a page: pushes, RSP moved by kilobytes, with or without a
/// frame pointer, accesses anywhere in the frame between pushes and pops, and an end that puts RSP back.
/// </summary>
internal sealed class StackFrames(CaseBuilder builder, int bitness)
{
    private const int MaxFrame = 3 * AddressLayout.PageSize - 512;

    private static readonly Code[] s_accesses64 =
    [
        Code.Mov_rm64_r64, Code.Mov_r64_rm64, Code.Mov_rm32_r32, Code.Mov_r32_rm32, Code.Mov_rm8_r8, Code.Movzx_r32_rm16,
        Code.Add_rm64_r64, Code.Add_r64_rm64, Code.Xor_rm32_r32, Code.Movsxd_r64_rm32, Code.Movups_xmmm128_xmm,
        Code.Movups_xmm_xmmm128, Code.VEX_Vmovdqu_ymmm256_ymm, Code.VEX_Vmovdqu_ymm_ymmm256, Code.Movq_xmmm64_xmm,
        Code.Lea_r64_m, Code.Inc_rm64, Code.Mov_rm64_imm32, Code.Cmp_rm64_imm8, Code.Push_rm64, Code.Pop_rm64,
    ];

    private static readonly Code[] s_accesses32 =
    [
        Code.Mov_rm32_r32, Code.Mov_r32_rm32, Code.Mov_rm8_r8, Code.Movzx_r32_rm16, Code.Add_rm32_r32,
        Code.Add_r32_rm32, Code.Movups_xmmm128_xmm, Code.Movups_xmm_xmmm128, Code.VEX_Vmovdqu_ymmm256_ymm,
        Code.VEX_Vmovdqu_ymm_ymmm256, Code.Lea_r32_m, Code.Inc_rm32, Code.Mov_rm32_imm32, Code.Cmp_rm32_imm8,
        Code.Push_rm32, Code.Pop_rm32,
    ];

    private readonly int _word = bitness / 8;

    /// <summary>Bytes between RSP and the place where it was before the frame.</summary>
    private int _depth;

    private Rng Rng => builder.Rng;

    private KnownRegisters Known => builder.Synthesizer.Known;

    private bool Is64 => bitness == 64;

    /// <summary>Adds a frame around a body; nothing when RSP is not to be changed.</summary>
    /// <param name="body">adds instructions that leave RSP alone</param>
    public void Add(Action body)
    {
        if (Known.IsReserved(Gpr.Rsp))
        {
            return;
        }
        ushort before = Known.Reserved;
        const ulong Top = AddressLayout.Stack + AddressLayout.StackPages * AddressLayout.PageSize;
        ulong top = Top - 64 - (ulong)(Rng.Below(AddressLayout.PageSize) / _word * _word);
        builder.Synthesizer.LoadNow(Gpr.Rsp, Rng.Percent(95) ? top : top + 1);
        Gpr? pointer = Rng.Percent(35) && !Known.IsReserved(Gpr.Rbp) ? Gpr.Rbp : null;
        _depth = 0;
        int pushes = Rng.Below(5);
        Pushes(pushes);
        if (pointer != null)
        {
            Add(Instruction.Create(Is64 ? Code.Mov_r64_rm64 : Code.Mov_r32_rm32, Name(Gpr.Rbp), Name(Gpr.Rsp)));
            Known[Gpr.Rbp] = null;
        }
        int size = (Rng.Percent(70) ? Rng.Between(AddressLayout.PageSize, MaxFrame) : Rng.Between(16, 5000)) / _word * _word;
        Move(-size);
        Known.Reserved |= (ushort)(1 << (int)Gpr.Rsp | (pointer == null ? 0 : 1 << (int)Gpr.Rbp));
        for (int rounds = Rng.Between(1, 4); rounds > 0; rounds--)
        {
            for (int i = Rng.Between(1, 8); i > 0; i--)
            {
                Inside(pointer, size);
            }
            body();
        }
        Leave(pointer, size);
        Known.Reserved = before;
        for (int i = Rng.Below(pushes + 1); i > 0; i--)
        {
            Pop();
        }
        Known[Gpr.Rsp] = null;
    }

    /// <summary>An access to the frame, or a few words that come and go below it.</summary>
    private void Inside(Gpr? pointer, int size)
    {
        if (Rng.Percent(75))
        {
            Access(pointer, size);
            return;
        }
        int depth = _depth, words = Rng.Between(1, 4);
        Pushes(words);
        Access(pointer, size);
        if (Rng.Percent(50))
        {
            Move(_depth - depth);
            return;
        }
        for (int i = 0; i < words; i++)
        {
            Pop();
            if (Rng.Percent(30))
            {
                Access(pointer, size);
            }
        }
    }

    private void Pushes(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Add(Rng.Percent(80)
                ? Instruction.Create(Is64 ? Code.Push_r64 : Code.Push_r32, Name((Gpr)Rng.Below(Registers)))
                : Is64 ? Instruction.Create(Code.Pushq_imm32, (int)Rng.Next())
                : Instruction.Create(Code.Pushd_imm32, (int)Rng.Next()));
            _depth += _word;
        }
    }

    private void Pop()
    {
        Add(Instruction.Create(Is64 ? Code.Pop_r64 : Code.Pop_r32, Name(Free())));
        _depth -= _word;
    }

    /// <summary>Moves RSP, down in steps with a touch of each page at times.</summary>
    private void Move(int bytes)
    {
        if (bytes < -AddressLayout.PageSize && Rng.Percent(30))
        {
            Step(-AddressLayout.PageSize);
            MemoryOperand top = new(Name(Gpr.Rsp));
            Add(Instruction.Create(Is64 ? Code.Or_rm64_imm8 : Code.Or_rm32_imm8, top, 0));
            Move(bytes + AddressLayout.PageSize);
            return;
        }
        Step(bytes);
    }

    private void Step(int bytes)
    {
        Register rsp = Name(Gpr.Rsp);
        Add(Rng.Below(3) switch
        {
            0 => Instruction.Create(Is64 ? Code.Sub_rm64_imm32 : Code.Sub_rm32_imm32, rsp, -bytes),
            1 => Instruction.Create(Is64 ? Code.Add_rm64_imm32 : Code.Add_rm32_imm32, rsp, bytes),
            _ => Instruction.Create(Is64 ? Code.Lea_r64_m : Code.Lea_r32_m, rsp, new MemoryOperand(rsp, bytes, Is64 ? 8 : 4)),
        });
        _depth -= bytes;
    }

    private void Leave(Gpr? pointer, int size)
    {
        if (pointer == null || Rng.Percent(40))
        {
            Move(size);
            return;
        }
        Add(Instruction.Create(Is64 ? Code.Mov_r64_rm64 : Code.Mov_r32_rm32, Name(Gpr.Rsp), Name(Gpr.Rbp)));
        _depth -= size;
    }

    /// <summary>One instruction with an operand in the frame, addressed from either of its ends.</summary>
    private void Access(Gpr? pointer, int size)
    {
        Code code = Rng.Pick<Code>(Is64 ? s_accesses64 : s_accesses32);
        if (code is Code.Push_rm64 or Code.Push_rm32)
        {
            _depth += _word;
        }
        bool pops = code is Code.Pop_rm64 or Code.Pop_rm32;
        if (pops && _depth < size + _word)
        {
            return;
        }
        bool fromPointer = pointer != null && Rng.Percent(40);
        int at = Rng.Below(4) switch
        {
            0 => Rng.Below(128),
            1 => size - Rng.Below(Math.Min(size, 128)),
            _ => Rng.Below(size),
        };
        MemoryOperand operand = Operand(fromPointer, fromPointer ? at - size : at);
        Add(Instruct(code, operand));
        if (pops)
        {
            _depth -= _word;
        }
    }

    /// <summary>Relative to RSP or RBP, at times with an index that makes up for a part of the displacement.</summary>
    private MemoryOperand Operand(bool fromPointer, int displacement)
    {
        Register name = Name(fromPointer ? Gpr.Rbp : Gpr.Rsp);
        int wide = displacement == (sbyte)displacement ? 1 : Is64 ? 8 : 4;
        if (Rng.Percent(85))
        {
            return new MemoryOperand(name, displacement, wide);
        }
        Gpr index = Free();
        int value = Rng.Between(-600, 600);
        builder.Synthesizer.LoadNow(index, Is64 ? (ulong)(long)value : (uint)value);
        return new MemoryOperand(name, Name(index), 8, displacement - value * 8, Is64 ? 8 : 4);
    }

    private Instruction Instruct(Code code, MemoryOperand operand)
    {
        OpCodeInfo form = code.ToOpCode();
        Instruction instruction = default;
        instruction.Code = code;
        for (int i = 0; i < form.OpCount; i++)
        {
            switch (form.GetOpKind(i))
            {
                case OpCodeOperandKind.imm8sex64 or OpCodeOperandKind.imm8sex32:
                    instruction.SetOpKind(i, Is64 ? OpKind.Immediate8to64 : OpKind.Immediate8to32);
                    instruction.Immediate8 = (byte)Rng.Next();
                    break;
                case OpCodeOperandKind.imm32sex64:
                    instruction.SetOpKind(i, OpKind.Immediate32to64);
                    instruction.Immediate32 = (uint)Rng.Next();
                    break;
                case OpCodeOperandKind.imm32:
                    instruction.SetOpKind(i, OpKind.Immediate32);
                    instruction.Immediate32 = (uint)Rng.Next();
                    break;
                case OpCodeOperandKind kind when kind.ToString().Contains("mem", StringComparison.Ordinal):
                    instruction.SetOpKind(i, OpKind.Memory);
                    instruction.MemoryBase = operand.Base;
                    instruction.MemoryIndex = operand.Index;
                    instruction.MemoryIndexScale = operand.Scale;
                    instruction.MemoryDisplacement64 = Is64 ? (ulong)operand.Displacement : (uint)operand.Displacement;
                    instruction.MemoryDisplSize = operand.DisplSize;
                    break;
                case OpCodeOperandKind kind:
                    instruction.SetOpKind(i, OpKind.Register);
                    instruction.SetOpRegister(i, RegisterFor(kind));
                    break;
            }
        }
        return instruction;
    }

    private Register RegisterFor(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.r64_reg => Register.RAX + (int)Free(),
        OpCodeOperandKind.r32_reg => Register.EAX + (int)Free(),
        OpCodeOperandKind.r8_reg => Register.AL + Rng.Below(4),
        OpCodeOperandKind.xmm_reg => Register.XMM0 + Rng.Below(Registers),
        OpCodeOperandKind.ymm_reg => Register.YMM0 + Rng.Below(Registers),
        _ => throw new InvalidOperationException($"no register for an operand of the kind {kind}"),
    };

    private int Registers => Is64 ? 16 : 8;

    /// <summary>A general register that may be written and is neither of the frame's two.</summary>
    private Gpr Free()
    {
        for (int i = 0; i < 100; i++)
        {
            var register = (Gpr)Rng.Below(Registers);
            if (register is not (Gpr.Rsp or Gpr.Rbp) && !Known.IsReserved(register))
            {
                return register;
            }
        }
        throw new InvalidOperationException("every register is reserved");
    }

    private Register Name(Gpr register) => (Is64 ? Register.RAX : Register.EAX) + (int)register;

    private void Add(in Instruction instruction) => builder.Synthesizer.Add(instruction);
}
