using System;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>Memory operands: first the place, then a way to name it.</summary>
public sealed partial class Synthesizer
{
    private const int PageSize = AddressLayout.PageSize;

    /// <summary>Data pages that ordinary operands use; the page after them holds the tables.</summary>
    private const int OrdinaryPages = AddressLayout.DataPages - 1;

    private bool TrySetMemory(ref Instruction instruction, int operand)
    {
        instruction.SetOpKind(operand, OpKind.Memory);
        Register segment = PickSegment();
        ulong target = ChooseTarget();
        _target = target;
        ulong ea = target - SegmentBase(segment);
        ea = Is64 ? ea : (uint)ea;
        if (_shortAddress && ea > uint.MaxValue || !Is64 && target > uint.MaxValue)
        {
            return false;
        }
        instruction.SegmentPrefix = segment;
        AddressForm form = _demand.Form != AddressForm.Any ? _demand.Form : _rng.Below(20) switch
        {
            < 10 => AddressForm.Base, < 15 => AddressForm.BaseIndex, 15 => AddressForm.SameBaseIndex,
            16 => AddressForm.Index, 17 => AddressForm.Absolute, _ => AddressForm.RipRelative,
        };
        return form switch
        {
            AddressForm.Base => SetBase(ref instruction, ea),
            AddressForm.BaseIndex => SetBaseIndex(ref instruction, ea),
            AddressForm.SameBaseIndex => SetSameBaseIndex(ref instruction, ea),
            AddressForm.Index => SetIndex(ref instruction, ea),
            AddressForm.RipRelative when Is64 => SetRipRelative(ref instruction, ea),
            _ => SetAbsolute(ref instruction, ea),
        };
    }

    private Register PickSegment()
    {
        if (_demand.Segment != Register.None)
        {
            return _demand.Segment;
        }
        return _rng.Below(40) switch
        {
            0 or 1 => Register.FS,
            2 or 3 => Register.GS,
            // Without effect in 64-bit code, and the bases are 0 in 32-bit code.
            4 => Register.ES,
            5 => Register.DS,
            // Writing through CS is #GP in 32-bit code; nobody does.
            6 when Is64 => Register.CS,
            _ => Register.None,
        };
    }

    private ulong SegmentBase(Register segment) =>
        segment == Register.FS ? _fsBase : segment == Register.GS ? _gsBase : 0;

    private ulong ChooseTarget()
    {
        int size = OperandBytes;
        if (WellFormedTarget() is ulong table)
        {
            return table;
        }
        int alignment = RequiredAlignment(size);
        if (WantsEdge)
        {
            return ChooseEdge(size, alignment);
        }
        switch (_demand.Place)
        {
            case Place.ReadOnly:
                return AddressLayout.ReadOnly + (ulong)(_rng.Below(PageSize / 32 - 2) * 32);
            case Place.Unmapped:
                return AddressLayout.ReadOnly + PageSize + Align(_rng.Below(PageSize), alignment);
            case Place.NonCanonical:
                return 0x8000_0000_0000 + (ulong)_rng.Below(1 << 20) * 64;
        }
        bool mayFault = InstructionCatalog.MayFault(_opCode);
        if (_demand.Place == Place.Any && mayFault && _rng.Percent(FaultPercent))
        {
            return AddressLayout.ReadOnly + PageSize - Align(_rng.Below(2 * size), alignment);
        }
        (ulong region, int pages) = ChooseRegion();
        return region + Align(ChooseOffset(size, pages), alignment);
    }

    private static ulong Align(int offset, int alignment) => (ulong)(offset / alignment * alignment);

    private int ChooseOffset(int size, int pages)
    {
        int page = _rng.Below(pages) * PageSize;
        Place place = _demand.Place != Place.Any ? _demand.Place : _rng.Below(10) switch
        {
            < 4 => Place.Aligned, 4 => Place.PageCrossing, 5 => Place.PageEnd, 6 => Place.PageStart, _ => Place.Any,
        };
        return place switch
        {
            Place.Aligned => page + _rng.Below((PageSize - size) / Math.Min(size, 64) + 1) * Math.Min(size, 64),
            Place.PageStart => page,
            Place.PageEnd => page + PageSize - size,
            Place.PageCrossing => Math.Max(0, pages > 1 && page == 0 ? PageSize - 1 - _rng.Below(Math.Max(1, size - 1))
                : page - 1 - _rng.Below(Math.Max(1, size - 1))),
            _ => page + _rng.Below(PageSize - size + 1),
        };
    }

    private (ulong Region, int Pages) ChooseRegion()
    {
        bool needsLow = !Is64 || _shortAddress || _demand.Form is AddressForm.Absolute or AddressForm.RipRelative;
        int pick = _rng.Below(20);
        return pick switch
        {
            0 => (AddressLayout.Stack, AddressLayout.StackPages),
            1 => (AddressLayout.Code, 1),
            2 => (AddressLayout.ReadOnly, 1),
            < 6 when !needsLow => (AddressLayout.HighData, AddressLayout.HighDataPages),
            _ => (AddressLayout.Data, OrdinaryPages),
        };
    }

    private static bool IsWritable(ulong va) => va - AddressLayout.ReadOnly >= PageSize
        && va - AddressLayout.Code >= AddressLayout.CodePages * PageSize;

    /// <summary>
    /// Legacy SSE operands of 16 bytes and aligned AVX moves fault when misaligned: mostly aligned. Locked
    /// operands never cross a cache line, which hosts punish.
    /// </summary>
    private int RequiredAlignment(int size)
    {
        if (_opCode.CanUseLockPrefix || _opCode.Mnemonic == Mnemonic.Xchg)
        {
            return size;
        }
        bool alignedMove = _opCode.Mnemonic is Mnemonic.Vmovaps or Mnemonic.Vmovapd or Mnemonic.Vmovdqa
            or Mnemonic.Vmovdqa32 or Mnemonic.Vmovdqa64 or Mnemonic.Vmovntdq or Mnemonic.Vmovntdqa or Mnemonic.Vmovntps or Mnemonic.Vmovntpd;
        bool legacy = _opCode.Encoding == EncodingKind.Legacy && size == 16;
        return (alignedMove || legacy) && _demand.Place != Place.PageCrossing && _rng.Percent(92) ? size : 1;
    }

    private bool IsFree(Gpr register, Gpr? other = null) => register != other && !Known.IsReserved(register)
        && (_pinned >> (int)register & 1) == 0 && (register != Gpr.Rsp || _demand.Base == Gpr.Rsp);

    /// <summary>A general register that may be loaded for an address; null when none is free.</summary>
    private Gpr? PickFree(Gpr? other = null)
    {
        for (int i = 0; i < 40; i++)
        {
            var register = (Gpr)_rng.Below(RegisterCount);
            if (IsFree(register, other))
            {
                return register;
            }
        }
        return null;
    }

    /// <summary>A register that already points near an address, so that an instruction alone reaches it.</summary>
    private Gpr? PickKnownBase(ulong ea)
    {
        if (_demand.Base != null || _rng.Percent(25))
        {
            return null;
        }
        int start = _rng.Below(16);
        for (int i = 0; i < RegisterCount; i++)
        {
            var register = (Gpr)((start + i) % RegisterCount);
            bool near = Known[register] is ulong value && (ulong)((long)(ea - value) + 0x4000_0000) < 0x8000_0000;
            if (near && (!_shortAddress || Known[register] <= uint.MaxValue) && (_pinned >> (int)register & 1) == 0)
            {
                return register;
            }
        }
        return null;
    }

    /// <summary>What the 8-bit displacement of EVEX counts (SDM vol. 2, 2.7.5), for most forms.</summary>
    private int DisplacementUnit => IsEvex && _rng.Percent(70) ? OperandBytes : 1;

    private long PickDisplacement() => _rng.Below(6) switch
    {
        0 or 1 => 0,
        2 or 3 => _rng.Between(-128, 127) * DisplacementUnit,
        4 => _rng.Between(-5000, 5000),
        _ => (int)_rng.Next() >> 1,
    };

    /// <summary>Address bits above 32 do not matter under 67h: they get something else.</summary>
    private ulong Dirty(ulong value) =>
        _shortAddress ? (uint)value | _rng.Next() << 32 : Is64 ? value : (uint)value;

    private void SetDisplacement(ref Instruction instruction, long displacement, bool baseless = false)
    {
        instruction.MemoryDisplacement64 = Is64 && !_shortAddress ? (ulong)displacement : (uint)displacement;
        bool needed = displacement != 0 || instruction.MemoryBase.GetFullRegister() is Register.RBP or Register.R13;
        int wide = Is64 && !_shortAddress ? 8 : 4;
        bool fits = IsEvex ? Math.Abs(displacement) <= 128 * 64 : displacement == (sbyte)displacement;
        bool shortForm = fits && !baseless && !_rng.Percent(10);
        instruction.MemoryDisplSize = baseless ? wide : !needed ? 0 : shortForm ? 1 : wide;
    }

    private Register AddressRegister(Gpr register) =>
        (Is64 && !_shortAddress ? Register.RAX : Register.EAX) + (int)register;

    private bool SetBase(ref Instruction instruction, ulong ea)
    {
        Gpr? known = PickKnownBase(ea);
        Gpr? picked = known ?? _demand.Base ?? PickFree();
        if (picked is not Gpr register || known == null && !IsFree(register))
        {
            return false;
        }
        long displacement = known != null ? (long)(ea - Known[register]!.Value) : PickDisplacement();
        if (known == null)
        {
            LoadBefore(register, Dirty(ea - (ulong)displacement));
        }
        instruction.MemoryBase = AddressRegister(register);
        SetDisplacement(ref instruction, displacement);
        return true;
    }

    private bool SetBaseIndex(ref Instruction instruction, ulong ea)
    {
        int scale = 1 << _rng.Below(4);
        Gpr? known = PickKnownBase(ea);
        Gpr? first = known ?? _demand.Base ?? PickFree();
        Gpr? second = _demand.Index ?? PickFree(first);
        if (first is not Gpr b || second is not Gpr i || i == Gpr.Rsp || b == i || !IsFree(i) || known == null && !IsFree(b))
        {
            return false;
        }
        long displacement;
        if (known != null)
        {
            long index = _rng.Between(-300, 300);
            LoadBefore(i, Dirty((ulong)index));
            displacement = (long)(ea - Known[b]!.Value) - index * scale;
        }
        else
        {
            ulong index = _rng.Percent(60) ? (ulong)(long)_rng.Between(-1000, 1000) : _rng.Next();
            displacement = PickDisplacement();
            LoadBefore(i, Is64 ? index : (uint)index);
            LoadBefore(b, Dirty(ea - (ulong)displacement - index * (ulong)scale));
        }
        if (displacement != (int)displacement)
        {
            return false;
        }
        instruction.MemoryBase = AddressRegister(b);
        instruction.MemoryIndex = AddressRegister(i);
        instruction.MemoryIndexScale = scale;
        SetDisplacement(ref instruction, displacement);
        return true;
    }

    private bool SetSameBaseIndex(ref Instruction instruction, ulong ea)
    {
        int scale = 1 << _rng.Below(4);
        Gpr? picked = _demand.Base ?? PickFree();
        if (picked is not Gpr register || register == Gpr.Rsp || !IsFree(register))
        {
            return false;
        }
        long displacement = _rng.Between(0, 100);
        displacement += (long)((ea - (ulong)displacement) % (ulong)(1 + scale));
        LoadBefore(register, Dirty((ea - (ulong)displacement) / (ulong)(1 + scale)));
        instruction.MemoryBase = instruction.MemoryIndex = AddressRegister(register);
        instruction.MemoryIndexScale = scale;
        SetDisplacement(ref instruction, displacement);
        return ea < 1UL << 47;
    }

    private bool SetIndex(ref Instruction instruction, ulong ea)
    {
        int scale = 1 << _rng.Between(1, 3);
        Gpr? picked = _demand.Index ?? PickFree();
        if (picked is not Gpr register || register == Gpr.Rsp || !IsFree(register) || ea >= 1UL << 47)
        {
            return false;
        }
        long displacement = _rng.Between(0, 100000);
        displacement += (long)((ea - (ulong)displacement) % (ulong)scale);
        LoadBefore(register, Dirty((ea - (ulong)displacement) / (ulong)scale));
        instruction.MemoryIndex = AddressRegister(register);
        instruction.MemoryIndexScale = scale;
        SetDisplacement(ref instruction, displacement, baseless: true);
        return true;
    }

    private bool SetAbsolute(ref Instruction instruction, ulong ea)
    {
        long displacement = _shortAddress || !Is64 ? (long)(uint)ea : (int)ea;
        SetDisplacement(ref instruction, displacement, baseless: true);
        return (ulong)displacement == ea || !Is64;
    }

    private bool SetRipRelative(ref Instruction instruction, ulong ea)
    {
        if (Math.Abs((long)(ea - _codeStart)) > 0x7000_0000)
        {
            return false;
        }
        instruction.MemoryBase = _shortAddress ? Register.EIP : Register.RIP;
        instruction.MemoryDisplacement64 = ea;
        instruction.MemoryDisplSize = _shortAddress ? 4 : 8;
        return true;
    }

    /// <summary>MOV between rax and an address of full width in the instruction.</summary>
    private bool TrySetOffset(ref Instruction instruction, int operand)
    {
        instruction.SetOpKind(operand, OpKind.Memory);
        Register segment = PickSegment();
        _target = ChooseTarget();
        ulong ea = _target.Value - SegmentBase(segment);
        instruction.SegmentPrefix = segment;
        instruction.MemoryDisplacement64 = Is64 && !_shortAddress ? ea : (uint)ea;
        instruction.MemoryDisplSize = Is64 && !_shortAddress ? 8 : 4;
        return Is64 && !_shortAddress || ea <= uint.MaxValue;
    }
}
