using System;
using System.Numerics;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// What EVEX adds to an instruction: an opmask, zeroing, an embedded broadcast, rounding; and masked memory operands at
/// the edge of what is mapped, of which the mask mostly selects the part that is.
/// </summary>
public sealed partial class Synthesizer
{
    private const int EdgePercent = 10;

    /// <summary>The opmask register of the instruction being made; none: not masked.</summary>
    private Register _mask;

    /// <summary>The memory operand, if it has one, is one element for all of the vector.</summary>
    private bool _broadcast;

    /// <summary>Value that the opmask has to have, for an operand at an edge.</summary>
    private ulong? _maskValue;

    private bool IsEvex => _opCode.Encoding == EncodingKind.EVEX;

    private int VectorRegisters => Is64 && IsEvex ? 32 : RegisterCount;

    private bool StoresOperand => SystematicCases.IsMemory(_opCode.Op0Kind);

    private void ChooseDecoration()
    {
        _maskValue = null;
        _broadcast = _opCode.CanBroadcast && (_demand.Broadcast ?? _rng.Percent(35));
        bool masked = _opCode.CanUseOpMaskRegister
            && (_opCode.RequireOpMaskRegister || _demand.Place == Place.Edge || _rng.Percent(60));
        int mask = masked ? _rng.Between(1, 7) : 0;
        if (_opCode.CanUseOpMaskRegister && _demand.OpMask is int demanded && (demanded != 0 || !_opCode.RequireOpMaskRegister))
        {
            mask = demanded;
        }
        _mask = mask == 0 ? Register.None : Register.K0 + mask;
    }

    /// <summary>Bytes that the memory operand is going to have.</summary>
    private int OperandBytes => _broadcast
        ? _opCode.BroadcastMemorySize.GetElementSize()
        : InstructionCatalog.AccessBytes(_opCode);

    /// <summary>False when the mask cannot be given the value that it has to have.</summary>
    private bool Decorate(ref Instruction instruction)
    {
        bool memory = _target != null;
        instruction.OpMask = _mask;
        // Zeroing and a memory destination do not go together (#UD).
        bool mayZero = _opCode.CanUseZeroingMasking && _mask != Register.None
            && (instruction.Op0Kind != OpKind.Memory || _rng.Percent(FaultPercent));
        instruction.ZeroingMasking = mayZero && (_demand.Zeroing ?? _rng.Percent(40));
        instruction.IsBroadcast = memory && _broadcast;
        if (!memory && (_demand.Rounding ?? _rng.Percent(30)))
        {
            bool rounds = _opCode.CanUseRoundingControl && _rng.Percent(80);
            instruction.RoundingControl = rounds ? RoundingControl.RoundToNearest + _rng.Below(4) : RoundingControl.None;
            instruction.SuppressAllExceptions = !rounds && _opCode.CanSuppressAllExceptions;
        }
        if (_mask == Register.None)
        {
            return true;
        }
        if (_maskValue is ulong value)
        {
            return SetMaskBefore(instruction, value);
        }
        // A gather or scatter leaves its mask zero: most of them get one.
        if (_rng.Percent(_opCode.RequireOpMaskRegister ? 85 : 15))
        {
            ulong at = MemoryImages.Opmasks + (ulong)_rng.Below(MemoryImages.OpmaskCount) * sizeof(ulong);
            var memoryOperand = new MemoryOperand(Register.None, Register.None, 1, (long)at, Is64 ? 8 : 4);
            Before(Instruction.Create(Code.VEX_Kmovq_kr_km64, _mask, memoryOperand));
        }
        return true;
    }

    /// <summary>Through a general register that does not address the operand.</summary>
    private bool SetMaskBefore(in Instruction instruction, ulong value)
    {
        Register address = instruction.MemoryBase.GetFullRegister(), index = instruction.MemoryIndex.GetFullRegister();
        if (PickFree() is not Gpr register || Register.RAX + (int)register == address
            || Register.RAX + (int)register == index)
        {
            return false;
        }
        var load = new BlobItem { Instruction = Load(register, Is64 ? value : (uint)value) };
        var move = new BlobItem
        {
            Instruction = Is64
                ? Instruction.Create(Code.VEX_Kmovq_kr_r64, _mask, Register.RAX + (int)register)
                : Instruction.Create(Code.VEX_Kmovd_kr_r32, _mask, Register.EAX + (int)register),
        };
        // In front of what loads the address: that may be the same register's second load.
        _before.InsertRange(0, [load, move]);
        return true;
    }

    private bool WantsEdge => _mask != Register.None && InstructionCatalog.MayFault(_opCode)
        && (_demand.Place == Place.Edge || _demand.Place == Place.Any && _rng.Percent(EdgePercent));

    /// <summary>
    /// A place where only part of the operand can be accessed, or nothing of it, and a mask that goes with it; see
    /// <see cref="EdgeMask"/>.
    /// </summary>
    private ulong ChooseEdge(int size, int alignment)
    {
        int element = Math.Clamp(_broadcast ? size : _opCode.MemorySize.GetElementSize(), 1, size);
        int inside = _rng.Between(0, size / element);
        // What follows the data can be read and not written; the stack stands alone.
        ulong end = _rng.Percent(30) ? StackTop : StoresOperand ? AddressLayout.ReadOnly : AddressLayout.ReadOnly + PageSize;
        ulong start = _rng.Percent(30) ? AddressLayout.Stack : AddressLayout.Data;
        switch (_rng.Below(10))
        {
            case 0:
                _maskValue = _rng.Percent(80) ? 0 : MemoryImages.Opmask(_rng);
                return FarPlace(alignment);
            case < 4:
                int missing = size / element - inside;
                _maskValue = EdgeMask(missing, size / element);
                return start - Align(missing * element, alignment);
            default:
                _maskValue = EdgeMask(0, inside);
                int cut = _rng.Percent(10) ? _rng.Below(element) : 0;
                return end - Align(inside * element + cut, alignment);
        }
    }

    private ulong FarPlace(int alignment)
    {
        if (Is64 && !_shortAddress && _rng.Percent(15))
        {
            return 0x8000_0000_0000 + (ulong)_rng.Below(1 << 20) * 64;
        }
        ulong page = StoresOperand && _rng.Percent(50) ? AddressLayout.ReadOnly : AddressLayout.ReadOnly + PageSize;
        return page + Align(_rng.Below(PageSize - 64), alignment);
    }

    /// <summary>
    /// Mostly elements first .. limit-1, those that can be accessed, or some of them, or none; sometimes any. Bits above
    /// the vector's elements count for nothing.
    /// </summary>
    private ulong EdgeMask(int first, int limit)
    {
        // Some instructions have several elements of the operand for each bit of the mask.
        int perBit = _rng.Percent(80) ? 1 : _rng.Percent(50) ? 4 : 2;
        int low = (first + perBit - 1) / perBit;
        ulong accessible = Low(limit / perBit) & ~Low(low);
        int lanes = VectorBytes() / Math.Clamp(_opCode.MemorySize.GetElementSize(), 1, 64);
        ulong above = lanes < 64 && _rng.Percent(40) ? _rng.Next() << lanes : 0;
        return above | _rng.Below(20) switch
        {
            < 9 => IsCompressed() ? Spread(accessible, Math.Max(1, lanes)) : accessible,
            < 14 => accessible & _rng.Next(),
            < 17 => 0,
            17 => ulong.MaxValue,
            _ => _rng.Next(),
        };
    }

    /// <summary>As many bits, anywhere among the first n.</summary>
    private ulong Spread(ulong bits, int n)
    {
        int count = Math.Min(BitOperations.PopCount(bits), n);
        ulong spread = 0;
        while (BitOperations.PopCount(spread) < count)
        {
            spread |= 1UL << _rng.Below(n);
        }
        return spread;
    }

    private bool IsCompressed() => _opCode.Mnemonic is Mnemonic.Vpcompressb or Mnemonic.Vpcompressw or Mnemonic.Vpcompressd
        or Mnemonic.Vpcompressq or Mnemonic.Vcompressps or Mnemonic.Vcompresspd or Mnemonic.Vpexpandb or Mnemonic.Vpexpandw
        or Mnemonic.Vpexpandd or Mnemonic.Vpexpandq or Mnemonic.Vexpandps or Mnemonic.Vexpandpd;

    private static ulong Low(int bits) => bits >= 64 ? ulong.MaxValue : (1UL << bits) - 1;

    /// <summary>Bytes of the widest vector register that the form names.</summary>
    private int VectorBytes()
    {
        int bytes = 16;
        for (int i = 0; i < _opCode.OpCount; i++)
        {
            bytes = Math.Max(bytes, _opCode.GetOpKind(i) switch
            {
                OpCodeOperandKind.zmm_reg or OpCodeOperandKind.zmm_rm or OpCodeOperandKind.zmm_vvvv
                    or OpCodeOperandKind.zmm_or_mem => 64,
                OpCodeOperandKind.ymm_reg or OpCodeOperandKind.ymm_rm or OpCodeOperandKind.ymm_vvvv
                    or OpCodeOperandKind.ymm_or_mem => 32,
                _ => 16,
            });
        }
        return bytes;
    }
}
