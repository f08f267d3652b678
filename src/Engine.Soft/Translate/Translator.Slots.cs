using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Instructions on guest registers that live in the vCPU block (R9-R11), where the slot itself can be the operand: nothing has to be
/// loaded into a scratch register first, or stored afterwards.
/// </summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Emits an instruction without a memory operand, one of whose registers lives in the vCPU block; false: another way is needed.</summary>
    private bool TryEmitOnSlot(in Instruction i)
    {
        if (!_long || i.OpCount == 0 || CountInCl(i))
        {
            return false;
        }
        int slot = SlotOperand(i, out Iced.Intel.Code code, out bool swapped);
        if (slot < 0)
        {
            return false;
        }
        Instruction host = i;
        host.Code = code;
        if (swapped)
        {
            host.SetOpRegister(0, i.GetOpRegister(1));
            host.SetOpRegister(1, i.GetOpRegister(0));
        }
        int guest = GprNumber(host.GetOpRegister(slot));
        for (int n = 0; n < i.OpCount; n++)
        {
            if (n != slot && host.GetOpKind(n) == OpKind.Register && IsGpr(host.GetOpRegister(n)))
            {
                int other = GprNumber(host.GetOpRegister(n)), home = Of(other);
                if (home < 0)
                {
                    _w.Load64(Temp0, Mem.Area(Slot(other)));
                    home = Temp0;
                }
                host.SetOpRegister(n, SameWidth(host.GetOpRegister(n), home));
            }
        }
        host.SetOpKind(slot, OpKind.Memory);
        SetMemory(ref host, Mem.Area(Slot(guest)));
        Debug.Require(_encoder.TryEncode(host, 0, out _, out _), "encoding with a slot");
        return true;
    }

    /// <summary>
    /// Number of the register operand that can be the slot, and the form of the instruction that allows it; -1 when there is none.
    /// A 32-bit result would have to clear the upper half as well, and only one operand may be in memory.
    /// </summary>
    private static int SlotOperand(in Instruction i, out Iced.Intel.Code code, out bool swapped)
    {
        code = i.Code;
        swapped = false;
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n)) && IsHighByte(i.GetOpRegister(n)))
            {
                return -1;
            }
        }
        bool first = LivesInSlot(i, 0), second = i.OpCount > 1 && LivesInSlot(i, 1);
        switch (i.Mnemonic)
        {
            case Mnemonic.Add or Mnemonic.Or or Mnemonic.Adc or Mnemonic.Sbb or Mnemonic.And or Mnemonic.Sub or Mnemonic.Xor or Mnemonic.Cmp:
                bool reads = i.Mnemonic == Mnemonic.Cmp;
                if (i.GetOpKind(1) != OpKind.Register)
                {
                    return first && (reads || IsWide(i, 0)) ? 0 : -1;
                }
                if (first && (reads || IsWide(i, 0)))
                {
                    code = ToMemoryForm(code);
                    return 0;
                }
                if (second && !first)
                {
                    code = ToRegisterForm(code);
                    return 1;
                }
                return -1;
            case Mnemonic.Test when i.GetOpKind(1) == OpKind.Register:
                swapped = second && !first;
                return first || second ? 0 : -1;
            case Mnemonic.Test:
                return first ? 0 : -1;
            case Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Neg or Mnemonic.Not:
                return first && IsWide(i, 0) ? 0 : -1;
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror:
                return first && IsWide(i, 0) && i.GetOpKind(1) != OpKind.Register ? 0 : -1;
            case Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd or Mnemonic.Adcx or Mnemonic.Adox or Mnemonic.Tzcnt or Mnemonic.Lzcnt
                or Mnemonic.Popcnt or Mnemonic.Imul or Mnemonic.Cmovb or Mnemonic.Cmovae or Mnemonic.Cmove or Mnemonic.Cmovne
                or Mnemonic.Cmovbe or Mnemonic.Cmova or Mnemonic.Cmovs or Mnemonic.Cmovns or Mnemonic.Cmovl or Mnemonic.Cmovge
                or Mnemonic.Cmovle or Mnemonic.Cmovg:
                return i.OpCount > 1 && second && !first && code != Iced.Intel.Code.Movsxd_r16_rm16 ? 1 : -1;
            case Mnemonic.Mulx:
                return LivesInSlot(i, 2) && !first && !second ? 2 : -1;
            default:
                return -1;
        }
    }

    private static bool LivesInSlot(in Instruction i, int n) =>
        i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n)) && Of(GprNumber(i.GetOpRegister(n))) < 0;

    /// <summary>
    /// Written as a whole. Of a part that was written last, processors cannot hand the whole on to a load before it is in the cache (Intel
    /// optimization manual, "Store forwarding").
    /// </summary>
    private static bool IsWide(in Instruction i, int n) => i.GetOpRegister(n) >= Register.RAX;

    /// <summary>op r, r/m of one width from op r/m, r and back: the eight forms of an arithmetic instruction follow one another.</summary>
    private static Iced.Intel.Code ToRegisterForm(Iced.Intel.Code code) => IsMemoryForm(code) ? code + 4 : code;

    private static Iced.Intel.Code ToMemoryForm(Iced.Intel.Code code) => IsMemoryForm(code) ? code : code - 4;

    private static bool IsMemoryForm(Iced.Intel.Code code) => code switch
    {
        >= Iced.Intel.Code.Add_rm8_r8 and <= Iced.Intel.Code.Add_rm64_r64 => true,
        >= Iced.Intel.Code.Or_rm8_r8 and <= Iced.Intel.Code.Or_rm64_r64 => true,
        >= Iced.Intel.Code.Adc_rm8_r8 and <= Iced.Intel.Code.Adc_rm64_r64 => true,
        >= Iced.Intel.Code.Sbb_rm8_r8 and <= Iced.Intel.Code.Sbb_rm64_r64 => true,
        >= Iced.Intel.Code.And_rm8_r8 and <= Iced.Intel.Code.And_rm64_r64 => true,
        >= Iced.Intel.Code.Sub_rm8_r8 and <= Iced.Intel.Code.Sub_rm64_r64 => true,
        >= Iced.Intel.Code.Xor_rm8_r8 and <= Iced.Intel.Code.Xor_rm64_r64 => true,
        >= Iced.Intel.Code.Cmp_rm8_r8 and <= Iced.Intel.Code.Cmp_rm64_r64 => true,
        _ => false,
    };
}
