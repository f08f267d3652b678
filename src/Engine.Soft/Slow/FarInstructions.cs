using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>Far transfers at one privilege level, software interrupts, and 16-bit branches.</summary>
internal static class FarInstructions
{
    public static bool Execute(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        switch (i.Mnemonic)
        {
            case Mnemonic.Int3:
                return Trap(ref c, ExceptionVector.Breakpoint);
            case Mnemonic.Int1:
                return Trap(ref c, ExceptionVector.Debug);
            case Mnemonic.Into:
                return (c.R.Rflags & (ulong)Rflags.OF) != 0 && Trap(ref c, ExceptionVector.Overflow);
            case Mnemonic.Int:
                c.Exit = new VcpuExit
                {
                    Kind = ExitKind.SoftwareInterrupt, Vector = i.Immediate8, Length = (byte)i.Length,
                };
                return true;
            case Mnemonic.Sysenter:
                c.Exit = new VcpuExit { Kind = ExitKind.Sysenter, Length = (byte)i.Length };
                return true;
            case Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq:
                return InterruptReturn(ref c);
            case Mnemonic.Retf:
                return FarReturn(ref c);
            case Mnemonic.Jmp or Mnemonic.Call:
                return FarJump(ref c);
            default:
                return c.Fault(ExceptionVector.InvalidOpcode); // 16-bit near branches: no 16-bit code here
        }
    }

    /// <summary>INT3, INT1 and INTO report the address behind themselves.</summary>
    private static bool Trap(ref SlowInstructions.Context c, ExceptionVector vector)
    {
        c.R.Rip = c.Next;
        return c.Fault(vector);
    }

    /// <summary>Loads CS for a transfer that stays at CPL 3.</summary>
    private static bool TryLoadCode(ref SlowInstructions.Context c, ushort selector)
    {
        uint code = (uint)(selector & ~3);
        if (code == 0 || (selector & 3) != 3 || !c.Vcpu.Host.TryReadDescriptor(selector, out ulong d)
            || (d >> 43 & 3) != 3 || ((d >> 45 & 3) != 3 && (d >> 42 & 1) == 0)
            || (d >> 53 & 3) == 3)
        {
            return !c.Fault(ExceptionVector.GeneralProtection, code);
        }
        if ((d >> 47 & 1) == 0)
        {
            return !c.Fault(ExceptionVector.SegmentNotPresent, code);
        }
        c.R.Selectors[(int)SegmentRegister.Cs] = selector;
        c.R.LongCode = (byte)(d >> 53 & 1);
        return true;
    }

    private static bool InterruptReturn(ref SlowInstructions.Context c)
    {
        int n = c.I.Mnemonic switch { Mnemonic.Iretq => 8, Mnemonic.Iretd => 4, _ => 2 };
        if (!c.TryPeek(0, n, out ulong rip) || !c.TryPeek(n, n, out ulong cs) || !c.TryPeek(2 * n, n, out ulong flags))
        {
            return true;
        }
        ulong rsp = 0, ss = 0;
        bool wasLong = c.Long;
        if (wasLong && (!c.TryPeek(3 * n, n, out rsp) || !c.TryPeek(4 * n, n, out ss)))
        {
            return true;
        }
        if (!TryLoadCode(ref c, (ushort)cs))
        {
            return true;
        }
        if (wasLong)
        {
            if (!SegmentInstructions.TryLoad(ref c, SegmentRegister.Ss, (ushort)ss))
            {
                return true;
            }
            c.R[Gpr.Rsp] = rsp;
        }
        else
        {
            c.Drop(3 * n);
        }
        const Rflags loaded = Rflags.Arithmetic | Rflags.DF | Rflags.TF | Rflags.NT | Rflags.AC | Rflags.ID;
        c.R.Rflags = FlagInstructions.Visible((c.R.Rflags & ~(ulong)loaded) | (flags & (ulong)loaded));
        c.Jump(c.R.LongCode != 0 ? rip : (uint)rip);
        return false;
    }

    private static bool FarReturn(ref SlowInstructions.Context c)
    {
        int n = c.I.Code switch
        {
            Code.Retfq or Code.Retfq_imm16 => 8,
            Code.Retfd or Code.Retfd_imm16 => 4,
            _ => 2,
        };
        if (!c.TryPeek(0, n, out ulong rip) || !c.TryPeek(n, n, out ulong cs) || !TryLoadCode(ref c, (ushort)cs))
        {
            return true;
        }
        c.Drop(2 * n + (c.I.OpCount > 0 ? (int)c.I.GetImmediate(0) : 0));
        c.Jump(c.R.LongCode != 0 ? rip : (uint)rip);
        return false;
    }

    private static bool FarJump(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        ulong rip, cs;
        int n = 4;
        if (i.GetOpKind(0) == OpKind.FarBranch32)
        {
            (rip, cs) = (i.FarBranch32, i.FarBranchSelector);
        }
        else if (i.GetOpKind(0) == OpKind.Memory)
        {
            n = i.Code is Code.Jmp_m1664 or Code.Call_m1664 ? 8 : i.Code is Code.Jmp_m1632 or Code.Call_m1632 ? 4 : 2;
            ulong at = c.Address();
            if (!c.TryRead(at, n, out rip) || !c.TryRead(at + (ulong)n, 2, out cs))
            {
                return true;
            }
        }
        else
        {
            return c.Fault(ExceptionVector.InvalidOpcode);
        }
        ulong back = c.Next, oldCs = c.R.Selectors[(int)SegmentRegister.Cs];
        if (i.Mnemonic == Mnemonic.Call)
        {
            ulong before = c.R[Gpr.Rsp];
            if (!c.TryPush(n, oldCs))
            {
                return true;
            }
            if (!c.TryPush(n, back))
            {
                c.R[Gpr.Rsp] = before;
                return true;
            }
            if (!TryLoadCode(ref c, (ushort)(cs | 3)))
            {
                c.R[Gpr.Rsp] = before;
                return true;
            }
        }
        else if (!TryLoadCode(ref c, (ushort)(cs | 3)))
        {
            return true;
        }
        c.Jump(c.R.LongCode != 0 ? rip : (uint)rip);
        return false;
    }
}
