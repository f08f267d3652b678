using System;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>Segment registers and descriptor queries at CPL 3 (Intel SDM vol. 3, 5.5 and 5.6).</summary>
internal static class SegmentInstructions
{
    public static bool Execute(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        switch (i.Mnemonic)
        {
            case Mnemonic.Mov:
                return Move(ref c);
            case Mnemonic.Lsl or Mnemonic.Lar:
                return Query(ref c);
            case Mnemonic.Verr or Mnemonic.Verw:
                if (!c.TryOperand(0, 2, out ulong tested))
                {
                    return true;
                }
                SetZero(ref c, IsAccessible(ref c, (ushort)tested, i.Mnemonic == Mnemonic.Verw));
                return false;
            case Mnemonic.Sgdt or Mnemonic.Sidt:
                return StoreTable(ref c);
            case Mnemonic.Sldt or Mnemonic.Str:
                return !c.TrySetOperand(0, 2, 0);
            case Mnemonic.Smsw:
                int width = i.GetOpKind(0) == OpKind.Memory || i.GetOpRegister(0).IsGPR16() ? 2 : 8;
                return !c.TrySetOperand(0, width, 0x80050033);
            case Mnemonic.Arpl:
                return AdjustRpl(ref c);
            default:
                return LoadFarPointer(ref c);
        }
    }

    private static bool Move(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        if (i.GetOpKind(0) == OpKind.Register && SlowInstructions.Context.IsSegment(i.GetOpRegister(0)))
        {
            return !c.TryOperand(1, 2, out ulong selector)
                || !TryLoad(ref c, (SegmentRegister)(i.GetOpRegister(0) - Register.ES), (ushort)selector);
        }
        if (i.GetOpKind(1) == OpKind.Register && SlowInstructions.Context.IsSegment(i.GetOpRegister(1)))
        {
            ushort selector = c.R.Selectors[i.GetOpRegister(1) - Register.ES];
            return !c.TrySetOperand(0, 2, selector);
        }
        return PrivilegedInstructions.Execute(ref c); // MOV CR, MOV DR
    }

    /// <summary>Loads a data segment register or SS; on failure the fault is set.</summary>
    public static bool TryLoad(ref SlowInstructions.Context c, SegmentRegister register, ushort selector)
    {
        if (register == SegmentRegister.Cs)
        {
            return !c.Fault(ExceptionVector.InvalidOpcode);
        }
        ulong @base = 0;
        if ((selector & ~3) == 0)
        {
            if (register == SegmentRegister.Ss && !c.Long)
            {
                return !c.Fault(ExceptionVector.GeneralProtection, 0);
            }
        }
        else
        {
            uint code = (uint)(selector & ~3);
            if (!c.Vcpu.Host.TryReadDescriptor(selector, out ulong d))
            {
                return !c.Fault(ExceptionVector.GeneralProtection, code);
            }
            bool segment = (d >> 44 & 1) != 0, isCode = (d >> 43 & 1) != 0, second = (d >> 41 & 1) != 0;
            int dpl = (int)(d >> 45) & 3;
            bool usable = segment && (register == SegmentRegister.Ss ? !isCode && second && dpl == 3
                : (!isCode || second) && (dpl == 3 || (isCode && (d >> 42 & 1) != 0)));
            if (!usable)
            {
                return !c.Fault(ExceptionVector.GeneralProtection, code);
            }
            if ((d >> 47 & 1) == 0)
            {
                return !c.Fault(register == SegmentRegister.Ss ? ExceptionVector.StackFault
                    : ExceptionVector.SegmentNotPresent, code);
            }
            @base = (d >> 16 & 0xffffff) | (d >> 56 << 24);
        }
        c.R.Selectors[(int)register] = selector;
        SetBase(ref c, register, @base);
        return true;
    }

    private static void SetBase(ref SlowInstructions.Context c, SegmentRegister register, ulong @base)
    {
        switch (register)
        {
            case SegmentRegister.Fs: c.R.FsBase = @base; break;
            case SegmentRegister.Gs: c.R.GsBase = @base; break;
            case SegmentRegister.Es: c.R.EsBase = @base; break;
            case SegmentRegister.Ds: c.R.DsBase = @base; break;
            default: c.R.SsBase = @base; break;
        }
    }

    private static void SetZero(ref SlowInstructions.Context c, bool set) =>
        c.R.Rflags = set ? c.R.Rflags | (ulong)Rflags.ZF : c.R.Rflags & ~(ulong)Rflags.ZF;

    private static bool IsAccessible(ref SlowInstructions.Context c, ushort selector, bool write)
    {
        if ((selector & ~3) == 0 || !c.Vcpu.Host.TryReadDescriptor(selector, out ulong d) || (d >> 44 & 1) == 0)
        {
            return false;
        }
        bool code = (d >> 43 & 1) != 0, second = (d >> 41 & 1) != 0;
        bool conforming = code && (d >> 42 & 1) != 0;
        return (conforming || (d >> 45 & 3) == 3) && (write ? !code && second : !code || second);
    }

    /// <summary>LSL and LAR on code and data segments; everything else is "not accessible".</summary>
    private static bool Query(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        if (!c.TryOperand(1, 2, out ulong raw))
        {
            return true;
        }
        var selector = (ushort)raw;
        bool found = (selector & ~3) != 0 && c.Vcpu.Host.TryReadDescriptor(selector, out ulong d) && (d >> 44 & 1) != 0
            && ((d >> 45 & 3) == 3 || (d >> 42 & 3) == 3);
        SetZero(ref c, found);
        if (found)
        {
            c.Vcpu.Host.TryReadDescriptor(selector, out d);
            ulong limit = (d & 0xffff) | (d >> 32 & 0xf0000);
            if ((d >> 55 & 1) != 0)
            {
                limit = limit << 12 | 0xfff;
            }
            c.SetRegister(i.GetOpRegister(0), i.Mnemonic == Mnemonic.Lsl ? limit : d >> 32 & 0xffff00);
        }
        return false;
    }

    /// <summary>SGDT and SIDT without UMIP: a table that user code cannot reach.</summary>
    private static bool StoreTable(ref SlowInstructions.Context c)
    {
        ulong at = c.Address();
        int bytes = c.Long ? 8 : 4;
        return !c.Vcpu.CanWrite(at, 2 + bytes, c.Kernel, out c.Exit) || !c.TryWrite(at, 2, 0xffff)
            || !c.TryWrite(at + 2, bytes, 0xffff_8300_0000_0000);
    }

    private static bool AdjustRpl(ref SlowInstructions.Context c)
    {
        if (!c.TryOperand(0, 2, out ulong target))
        {
            return true;
        }
        ulong source = c.Register(c.I.GetOpRegister(1));
        bool raise = (target & 3) < (source & 3);
        if (raise && !c.TrySetOperand(0, 2, (target & ~3UL) | (source & 3)))
        {
            return true;
        }
        SetZero(ref c, raise);
        return false;
    }

    private static bool LoadFarPointer(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        Register target = i.GetOpRegister(0);
        int bytes = target.IsGPR64() ? 8 : target.IsGPR32() ? 4 : 2;
        ulong at = c.Address();
        if (!c.TryRead(at, bytes, out ulong offset) || !c.TryRead(at + (ulong)bytes, 2, out ulong selector))
        {
            return true;
        }
        SegmentRegister segment = i.Mnemonic switch
        {
            Mnemonic.Lds => SegmentRegister.Ds,
            Mnemonic.Les => SegmentRegister.Es,
            Mnemonic.Lfs => SegmentRegister.Fs,
            Mnemonic.Lgs => SegmentRegister.Gs,
            _ => SegmentRegister.Ss,
        };
        if (!TryLoad(ref c, segment, (ushort)selector))
        {
            return true;
        }
        c.SetRegister(target, offset);
        return false;
    }
}
