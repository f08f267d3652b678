using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>What single instructions need so that they mostly do something instead of faulting.</summary>
public sealed partial class Synthesizer
{
    private const ulong StackTop = AddressLayout.Stack + AddressLayout.StackPages * PageSize;

    private static ushort Bit(Gpr register) => (ushort)(1 << (int)register);

    private static ushort PinnedBy(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Div or Mnemonic.Idiv or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b =>
            (ushort)(Bit(Gpr.Rax) | Bit(Gpr.Rdx)),
        Mnemonic.Cmpxchg => Bit(Gpr.Rax),
        Mnemonic.Shld or Mnemonic.Shrd => Bit(Gpr.Rcx),
        Mnemonic.Xlatb => (ushort)(Bit(Gpr.Rbx) | Bit(Gpr.Rax)),
        Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu => Bit(Gpr.Rdi),
        Mnemonic.Enter or Mnemonic.Leave => Bit(Gpr.Rbp),
        Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq or Mnemonic.Cmpsb or Mnemonic.Cmpsw
            or Mnemonic.Cmpsd or Mnemonic.Cmpsq or Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd
            or Mnemonic.Stosq or Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq
            or Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq =>
            (ushort)(Bit(Gpr.Rsi) | Bit(Gpr.Rdi) | Bit(Gpr.Rcx)),
        _ => 0,
    };

    /// <summary>A place in the tables for instructions that take no arbitrary bytes.</summary>
    private ulong? WellFormedTarget() => _opCode.Mnemonic switch
    {
        Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr =>
            MemoryImages.Mxcsr + (ulong)_rng.Below(MemoryImages.MxcsrCount) * 4,
        Mnemonic.Fldcw => MemoryImages.Fcw + (ulong)_rng.Below(MemoryImages.FcwCount) * 2,
        Mnemonic.Fldenv => MemoryImages.Environment
            + (ulong)(_rng.Below(MemoryImages.EnvironmentCount) * MemoryImages.EnvironmentStride),
        Mnemonic.Frstor => MemoryImages.X87State,
        _ => null,
    };

    private bool Prepare(ref Instruction instruction)
    {
        if (_opCode.CanUseRepPrefix || _opCode.CanUseRepnePrefix)
        {
            return PrepareString(ref instruction);
        }
        if (_opCode.IsStackInstruction && !PrepareStack(instruction))
        {
            return false;
        }
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Div or Mnemonic.Idiv:
                return PrepareDivision(instruction);
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc:
                return PrepareBitOffset(instruction);
            case Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b or Mnemonic.Cmpxchg:
                return PrepareExchange(instruction);
            case Mnemonic.Shld or Mnemonic.Shrd when instruction.Op2Kind == OpKind.Register:
                return TryLoadBefore(Gpr.Rcx, _rng.Next() & ~31UL | (uint)_rng.Below(16));
            case Mnemonic.Xlatb:
                return PrepareTranslate(ref instruction);
            case Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Vmaskmovdqu:
                return PrepareMaskedStore(ref instruction);
            case Mnemonic.Fnstenv or Mnemonic.Fstenv or Mnemonic.Fnsave or Mnemonic.Fsave:
                return ScrubPointers();
            default:
                if (_opCode.RequiresUniqueRegNums && instruction.OpCount == 3)
                {
                    VectorLoadBefore(instruction.Op2Register, MemoryImages.Masks + (ulong)_rng.Below(28) * 8);
                }
                return true;
        }
    }

    private bool TryLoadBefore(Gpr register, ulong value)
    {
        if (Known.IsReserved(register))
        {
            return false;
        }
        LoadBefore(register, Is64 ? value : (uint)value);
        return true;
    }

    /// <summary>Dividends of which most have a quotient: the high half is the sign of the low half.</summary>
    private bool PrepareDivision(in Instruction instruction)
    {
        if (_rng.Percent(10))
        {
            return true;
        }
        bool signed = instruction.Mnemonic == Mnemonic.Idiv;
        bool negative = signed && _rng.Percent(50);
        if (_opCode.OperandSize == 0)
        {
            uint dividend = (ushort)(negative ? -_rng.Below(128) : _rng.Below(signed ? 128 : 256));
            return TryLoadBefore(Gpr.Rax, _rng.Next() << 16 | dividend);
        }
        ulong low = _rng.Next() >> 1;
        return TryLoadBefore(Gpr.Rax, negative ? ~low | 1UL << (_opCode.OperandSize - 1) : low & LowMask())
            && TryLoadBefore(Gpr.Rdx, negative ? ~0UL : 0);
    }

    private ulong LowMask() => ulong.MaxValue >> (65 - _opCode.OperandSize);

    /// <summary>The bit offset in a register moves the address by up to its value / 8 in either direction.</summary>
    private bool PrepareBitOffset(in Instruction instruction)
    {
        if (instruction.Op0Kind != OpKind.Memory || instruction.Op1Kind != OpKind.Register)
        {
            return true;
        }
        var register = (Gpr)(instruction.Op1Register.GetFullRegister() - Register.RAX);
        bool addresses = instruction.MemoryBase.GetFullRegister() == Register.RAX + (int)register
            || instruction.MemoryIndex.GetFullRegister() == Register.RAX + (int)register;
        if (addresses || register == Gpr.Rsp || instruction.HasLockPrefix && _rng.Percent(100 - FaultPercent))
        {
            // A locked access at a random offset could cross a cache line.
            return register != Gpr.Rsp && !addresses
                && TryLoadBefore(register, (ulong)_rng.Below(_opCode.OperandSize));
        }
        return TryLoadBefore(register, (ulong)(long)_rng.Between(-6000, 6000));
    }

    /// <summary>Half of the exchanges succeed: the accumulator is first loaded from the place itself.</summary>
    private bool PrepareExchange(in Instruction instruction)
    {
        if (_target is not ulong at || !Is64 || _rng.Percent(50))
        {
            return true;
        }
        if (Known.IsReserved(Gpr.Rax) || Known.IsReserved(Gpr.Rdx) || !PageCrossingIsMapped(at))
        {
            return false;
        }
        int high = instruction.Mnemonic == Mnemonic.Cmpxchg16b ? 8 : instruction.Mnemonic == Mnemonic.Cmpxchg8b ? 4 : 0;
        if (high != 0)
        {
            Before(MoveFromOffset(at + (ulong)high));
            Before(Instruction.Create(Code.Mov_r64_rm64, Register.RDX, Register.RAX));
        }
        Before(MoveFromOffset(at));
        return true;
    }

    private static bool PageCrossingIsMapped(ulong at) => at < AddressLayout.ReadOnly + PageSize - 16
        || at - AddressLayout.Stack < AddressLayout.StackPages * PageSize - 16;

    private static Instruction MoveFromOffset(ulong at) => Instruction.Create(
        Code.Mov_RAX_moffs64, Register.RAX, new MemoryOperand(Register.None, Register.None, 1, (long)at, 8));

    private bool PrepareTranslate(ref Instruction instruction)
    {
        instruction.SegmentPrefix = PickSegment();
        ulong ea = AddressLayout.Data + (ulong)_rng.Below(3 * PageSize) - SegmentBase(instruction.SegmentPrefix);
        return (!_shortAddress || ea <= uint.MaxValue) && TryLoadBefore(Gpr.Rbx, Dirty(ea));
    }

    private bool PrepareMaskedStore(ref Instruction instruction)
    {
        instruction.SegmentPrefix = PickSegment();
        ulong ea = AddressLayout.Data + (ulong)_rng.Below(3 * PageSize) - SegmentBase(instruction.SegmentPrefix);
        return (!_shortAddress || ea <= uint.MaxValue) && TryLoadBefore(Gpr.Rdi, Dirty(ea));
    }

    /// <summary>
    /// The saved instruction and data pointers are the one part of x87 state that a translator may get wrong
    /// without anyone noticing: they are cleared in memory after the store.
    /// </summary>
    private bool ScrubPointers()
    {
        if (_target is not ulong at || at - AddressLayout.Data >= OrdinaryPages * PageSize - 128 || !Is64)
        {
            return false;
        }
        bool narrow = _opCode.OperandSize == 16;
        for (int offset = narrow ? 6 : 12; offset < (narrow ? 14 : 28); offset += 4)
        {
            var memory = new MemoryOperand(Register.None, Register.None, 1, (long)at + offset, 8);
            After(Instruction.Create(Code.Mov_rm32_imm32, memory, 0));
        }
        return true;
    }

    private bool PrepareString(ref Instruction instruction)
    {
        bool readsSegment = instruction.Op0Kind is OpKind.MemorySegRSI or OpKind.MemorySegESI
            || instruction.Op1Kind is OpKind.MemorySegRSI or OpKind.MemorySegESI;
        Register segment = readsSegment ? PickSegment() : Register.None;
        instruction.SegmentPrefix = segment;
        bool repeated = instruction.HasRepPrefix || instruction.HasRepnePrefix;
        ulong source = AddressLayout.Data + PageSize + (ulong)_rng.Below(4 * PageSize);
        ulong destination = _rng.Percent(40)
            ? source + (ulong)(long)_rng.Between(-80, 80)
            : AddressLayout.Data + PageSize + (ulong)_rng.Below(4 * PageSize);
        if (_rng.Percent(FaultPercent))
        {
            destination = AddressLayout.ReadOnly + (ulong)(long)_rng.Between(-200, 200);
        }
        ulong count = _rng.Below(8) switch { 0 => 0, 1 => 1, < 6 => (ulong)_rng.Below(20), _ => (ulong)_rng.Below(200) };
        if (count == 0 && _shortAddress)
        {
            // Whether a count of zero clears the upper half of rcx is each processor's own choice.
            count = 1;
        }
        source -= SegmentBase(segment);
        if (_shortAddress && source > uint.MaxValue)
        {
            return false;
        }
        return TryLoadBefore(Gpr.Rsi, Dirty(source)) && TryLoadBefore(Gpr.Rdi, Dirty(destination))
            && (!repeated || TryLoadBefore(Gpr.Rcx, Dirty(count)));
    }

    private bool PrepareStack(in Instruction instruction)
    {
        if (instruction.Mnemonic is Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq)
        {
            return EnsureStack() && PushFlagsBefore(instruction);
        }
        if (instruction.Mnemonic is Mnemonic.Enter or Mnemonic.Leave)
        {
            return EnsureStack() && TryLoadBefore(Gpr.Rbp, PickStackPointer());
        }
        return EnsureStack();
    }

    /// <summary>Makes rsp point into the stack if it may not; leaves it wild once in a while.</summary>
    private bool EnsureStack()
    {
        if (InStack(Known[Gpr.Rsp]) && !_rng.Percent(3))
        {
            return true;
        }
        return !_rng.Percent(FaultPercent) ? TryLoadBefore(Gpr.Rsp, PickStackPointer()) : !Known.IsReserved(Gpr.Rsp);
    }

    private static bool InStack(ulong? rsp) => rsp - AddressLayout.Stack - 256 < StackTop - AddressLayout.Stack - 512;

    private ulong PickStackPointer() => AddressLayout.Stack + _rng.Below(8) switch
    {
        0 => (ulong)(PageSize * _rng.Between(1, 3) + _rng.Between(-8, 8)),
        1 => (ulong)(PageSize + _rng.Below(2 * PageSize)),
        _ => (ulong)(PageSize + _rng.Below(PageSize / 4) * 8),
    };

    /// <summary>Any flags but TF, AC, RF and VM; IF, IOPL, VIF and VIP must not come through in ring 3.</summary>
    private bool PushFlagsBefore(in Instruction instruction)
    {
        const uint Allowed = 0x38_7ed5;
        int value = (int)((uint)_rng.Next() & Allowed | 2);
        Before(instruction.Mnemonic switch
        {
            Mnemonic.Popf => Instruction.Create(Code.Push_imm16, value & 0xffff),
            Mnemonic.Popfd => Instruction.Create(Code.Pushd_imm32, value),
            _ => Instruction.Create(Code.Pushq_imm32, value),
        });
        return true;
    }
}
