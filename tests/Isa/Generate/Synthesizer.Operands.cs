using System;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>Operands other than memory.</summary>
public sealed partial class Synthesizer
{
    private bool TrySetOperand(ref Instruction instruction, int operand, OpCodeOperandKind kind)
    {
        if (TryMemoryOrRegister(ref instruction, operand, kind, out bool done))
        {
            return done;
        }
        Register register = RegisterFor(operand, kind);
        if (register != Register.None)
        {
            return SetRegister(ref instruction, operand, register);
        }
        return TrySetImmediate(ref instruction, operand, kind) || TrySetStringOperand(ref instruction, operand, kind);
    }

    private static bool SetRegister(ref Instruction instruction, int operand, Register register)
    {
        instruction.SetOpKind(operand, OpKind.Register);
        instruction.SetOpRegister(operand, register);
        return true;
    }

    /// <summary>Operands that are, or may be, memory. False when this is neither.</summary>
    private bool TryMemoryOrRegister(ref Instruction instruction, int operand, OpCodeOperandKind kind, out bool done)
    {
        Register first = kind switch
        {
            OpCodeOperandKind.r8_or_mem => Register.AL,
            OpCodeOperandKind.r16_or_mem => Register.AX,
            OpCodeOperandKind.r32_or_mem => Register.EAX,
            OpCodeOperandKind.r64_or_mem => Register.RAX,
            OpCodeOperandKind.mm_or_mem => Register.MM0,
            OpCodeOperandKind.xmm_or_mem => Register.XMM0,
            OpCodeOperandKind.ymm_or_mem => Register.YMM0,
            OpCodeOperandKind.zmm_or_mem => Register.ZMM0,
            OpCodeOperandKind.k_or_mem => Register.K0,
            _ => Register.None,
        };
        if (first != Register.None && !(_demand.Memory ?? _rng.Percent(55)))
        {
            done = SetRegister(ref instruction, operand, PickRegister(operand, first));
            return true;
        }
        bool plain = first != Register.None || kind is OpCodeOperandKind.mem or OpCodeOperandKind.mem_mib;
        done = plain ? TrySetMemory(ref instruction, operand)
            : kind == OpCodeOperandKind.mem_offs ? TrySetOffset(ref instruction, operand)
            : TrySetVectorMemory(ref instruction, operand, kind);
        return plain || done;
    }

    private Register RegisterFor(int operand, OpCodeOperandKind kind)
    {
        switch (kind)
        {
            case OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode:
                return PickRegister(operand, Register.AL);
            case OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_rm or OpCodeOperandKind.r16_opcode:
                return PickRegister(operand, Register.AX);
            case OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r32_opcode
                or OpCodeOperandKind.r32_vvvv:
                return PickRegister(operand, Register.EAX);
            case OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_rm or OpCodeOperandKind.r64_opcode
                or OpCodeOperandKind.r64_vvvv:
                return PickRegister(operand, Register.RAX);
            case OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm:
                return PickRegister(operand, Register.MM0);
            case OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_vvvv
                or OpCodeOperandKind.xmm_is4:
                return PickRegister(operand, Register.XMM0);
            case OpCodeOperandKind.ymm_reg or OpCodeOperandKind.ymm_rm or OpCodeOperandKind.ymm_vvvv
                or OpCodeOperandKind.ymm_is4:
                return PickRegister(operand, Register.YMM0);
            case OpCodeOperandKind.zmm_reg or OpCodeOperandKind.zmm_rm or OpCodeOperandKind.zmm_vvvv:
                return PickRegister(operand, Register.ZMM0);
            case OpCodeOperandKind.k_reg or OpCodeOperandKind.k_rm or OpCodeOperandKind.k_vvvv:
                return PickRegister(operand, Register.K0);
            case OpCodeOperandKind.sti_opcode:
                return PickRegister(operand, Register.ST0);
            case OpCodeOperandKind.seg_reg:
                return Register.ES + _rng.Below(6);
            default:
                return FixedRegister(kind);
        }
    }

    private static Register FixedRegister(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.al => Register.AL,
        OpCodeOperandKind.cl => Register.CL,
        OpCodeOperandKind.ax => Register.AX,
        OpCodeOperandKind.dx => Register.DX,
        OpCodeOperandKind.eax => Register.EAX,
        OpCodeOperandKind.rax => Register.RAX,
        OpCodeOperandKind.st0 => Register.ST0,
        OpCodeOperandKind.es => Register.ES,
        OpCodeOperandKind.cs => Register.CS,
        OpCodeOperandKind.ss => Register.SS,
        OpCodeOperandKind.ds => Register.DS,
        OpCodeOperandKind.fs => Register.FS,
        OpCodeOperandKind.gs => Register.GS,
        _ => Register.None,
    };

    /// <summary>A register of the class that begins with <paramref name="first"/>.</summary>
    private Register PickRegister(int operand, Register first)
    {
        int count = first switch
        {
            Register.AL => Is64 ? 20 : 8,
            Register.MM0 or Register.ST0 or Register.K0 => 8,
            Register.XMM0 or Register.YMM0 or Register.ZMM0 => VectorRegisters,
            _ => RegisterCount,
        };
        if (operand == _demand.RegisterOperand)
        {
            return first + _demand.RegisterNumber % count;
        }
        int n = _rng.Below(count);
        bool general = first is Register.AX or Register.EAX or Register.RAX;
        // rsp as an ordinary operand costs the stack pointer: rare unless wanted.
        return first + (general && n == (int)Gpr.Rsp && _rng.Percent(80) ? _rng.Below((int)Gpr.Rsp) : n);
    }

    private bool TrySetImmediate(ref Instruction instruction, int operand, OpCodeOperandKind kind)
    {
        (OpKind opKind, long value) = kind switch
        {
            OpCodeOperandKind.imm8 => (ImmediateKindOfByte(instruction, operand), ByteImmediate(instruction)),
            OpCodeOperandKind.imm8_const_1 => (OpKind.Immediate8, 1L),
            OpCodeOperandKind.imm8sex16 => (OpKind.Immediate8to16, (sbyte)_rng.Integer()),
            OpCodeOperandKind.imm8sex32 => (OpKind.Immediate8to32, (sbyte)_rng.Integer()),
            OpCodeOperandKind.imm8sex64 => (OpKind.Immediate8to64, (sbyte)_rng.Integer()),
            OpCodeOperandKind.imm16 => (OpKind.Immediate16, WordImmediate()),
            OpCodeOperandKind.imm32 => (OpKind.Immediate32, (uint)_rng.Integer()),
            OpCodeOperandKind.imm32sex64 => (OpKind.Immediate32to64, (int)_rng.Integer()),
            OpCodeOperandKind.imm64 => (OpKind.Immediate64, (long)_rng.Integer()),
            _ => (OpKind.FarBranch16, 0L),
        };
        if (opKind == OpKind.FarBranch16)
        {
            return false;
        }
        instruction.SetOpKind(operand, opKind);
        instruction.SetImmediate(operand, value);
        return true;
    }

    /// <summary>ENTER's second operand is the only imm8 that follows another immediate here.</summary>
    private static OpKind ImmediateKindOfByte(in Instruction instruction, int operand) =>
        operand == 1 && instruction.Mnemonic == Mnemonic.Enter ? OpKind.Immediate8_2nd : OpKind.Immediate8;

    private long ByteImmediate(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Enter => _rng.Percent(70) ? 0 : _rng.Below(4),
        // A count above the width leaves the result undefined.
        Mnemonic.Shld or Mnemonic.Shrd when _opCode.OperandSize == 16 => (byte)_rng.Below(16),
        _ => (byte)_rng.Integer(),
    };

    private long WordImmediate() => _opCode.Mnemonic == Mnemonic.Enter ? _rng.Below(64) : (ushort)_rng.Integer();

    private bool TrySetStringOperand(ref Instruction instruction, int operand, OpCodeOperandKind kind)
    {
        // 32-bit code uses esi and edi; 64-bit code does so under 67h.
        bool narrow = !Is64 || _shortAddress;
        switch (kind)
        {
            case OpCodeOperandKind.seg_rSI:
                instruction.SetOpKind(operand, narrow ? OpKind.MemorySegESI : OpKind.MemorySegRSI);
                break;
            case OpCodeOperandKind.es_rDI:
                instruction.SetOpKind(operand, narrow ? OpKind.MemoryESEDI : OpKind.MemoryESRDI);
                break;
            case OpCodeOperandKind.seg_rDI:
                instruction.SetOpKind(operand, narrow ? OpKind.MemorySegEDI : OpKind.MemorySegRDI);
                break;
            case OpCodeOperandKind.seg_rBX_al:
                instruction.SetOpKind(operand, OpKind.Memory);
                instruction.MemoryBase = narrow ? Register.EBX : Register.RBX;
                instruction.MemoryIndex = Register.AL;
                break;
            default:
                return false;
        }
        return true;
    }
}
