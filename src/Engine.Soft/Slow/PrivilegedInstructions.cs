using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>Instructions that the monitor acts on: described in the exit, not executed.</summary>
internal static class PrivilegedInstructions
{
    public static bool Execute(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        switch (i.Mnemonic)
        {
            case Mnemonic.Xgetbv:
                if ((uint)c.R[Gpr.Rcx] != 0)
                {
                    return c.Fault(ExceptionVector.GeneralProtection, 0);
                }
                c.R[Gpr.Rax] = (uint)c.R.Xcr0;
                c.R[Gpr.Rdx] = c.R.Xcr0 >> 32;
                return false;
            case Mnemonic.In or Mnemonic.Out:
                return Port(ref c);
            case Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd:
                return StringPort(ref c, PrivilegedOperation.Ins);
            case Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd:
                return StringPort(ref c, PrivilegedOperation.Outs);
            case Mnemonic.Invlpg:
                c.Privileged(PrivilegedOperation.Invlpg);
                c.Exit.Address = c.Address();
                return true;
            case Mnemonic.Mov:
                return ControlRegister(ref c);
            case Mnemonic.Lmsw:
                if (!c.TryOperand(0, 2, out ulong value))
                {
                    return true;
                }
                c.Privileged(PrivilegedOperation.Lmsw);
                c.Exit.Address = value;
                return true;
            default:
                return c.Privileged(Named(i.Mnemonic));
        }
    }

    private static PrivilegedOperation Named(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Rdmsr => PrivilegedOperation.Rdmsr,
        Mnemonic.Wrmsr => PrivilegedOperation.Wrmsr,
        Mnemonic.Clts => PrivilegedOperation.Clts,
        Mnemonic.Hlt => PrivilegedOperation.Hlt,
        Mnemonic.Cli => PrivilegedOperation.Cli,
        Mnemonic.Sti => PrivilegedOperation.Sti,
        Mnemonic.Wbinvd or Mnemonic.Wbnoinvd => PrivilegedOperation.Wbinvd,
        Mnemonic.Invd => PrivilegedOperation.Invd,
        Mnemonic.Xsetbv => PrivilegedOperation.Xsetbv,
        Mnemonic.Rdpmc => PrivilegedOperation.Rdpmc,
        Mnemonic.Rdtscp => PrivilegedOperation.Rdtscp,
        Mnemonic.Rdpid => PrivilegedOperation.Rdpid,
        _ => PrivilegedOperation.Other,
    };

    private static bool Port(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        bool input = i.Mnemonic == Mnemonic.In;
        Register data = i.GetOpRegister(input ? 0 : 1);
        int operand = input ? 1 : 0;
        c.Privileged(input ? PrivilegedOperation.In : PrivilegedOperation.Out);
        c.Exit.Port = i.GetOpKind(operand) == OpKind.Register ? (ushort)c.R[Gpr.Rdx] : (ushort)i.GetImmediate(operand);
        c.Exit.Size = (byte)(data == Register.AL ? 1 : data == Register.AX ? 2 : 4);
        return true;
    }

    private static bool StringPort(ref SlowInstructions.Context c, PrivilegedOperation operation)
    {
        c.Privileged(operation);
        c.Exit.Port = (ushort)c.R[Gpr.Rdx];
        c.Exit.Size = c.I.Mnemonic switch
        {
            Mnemonic.Insb or Mnemonic.Outsb => 1,
            Mnemonic.Insw or Mnemonic.Outsw => 2,
            _ => 4,
        };
        return true;
    }

    private static bool ControlRegister(ref SlowInstructions.Context c)
    {
        Register first = c.I.GetOpRegister(0), second = c.I.GetOpRegister(1);
        bool write = !first.IsGPR();
        Register special = write ? first : second;
        bool debug = special is >= Register.DR0 and <= Register.DR15;
        c.Privileged(debug ? write ? PrivilegedOperation.WriteDr : PrivilegedOperation.ReadDr
            : write ? PrivilegedOperation.WriteCr : PrivilegedOperation.ReadCr);
        c.Exit.Number = (byte)(special - (debug ? Register.DR0 : Register.CR0));
        c.Exit.Register = (Gpr)Translate.Translator.GprNumber(write ? second : first);
        return true;
    }
}
