using System;
using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// The rule for most instructions: the memory operand becomes a checked host pointer, guest registers become
/// the host registers that hold them, and the instruction is encoded again.
/// </summary>
internal sealed unsafe partial class Translator
{
    private readonly InstructionInfoFactory _info = new();

    /// <param name="temp0Group">group whose host address TEMP0 holds</param>
    /// <param name="temp1Group">group whose host address or delta TEMP1 holds</param>
    private void EmitGeneric(in Instruction i, bool flagsLive, int temp0Group, int temp1Group)
    {
        int memory = MemoryOperand(i);
        if (memory < 0)
        {
            int before = _w.Length;
            bool untouched = EmitOperation(i, -1, default);
            if (_now + 1 < _count && i.Mnemonic is Mnemonic.Cmp or Mnemonic.Test or Mnemonic.Add or Mnemonic.Sub or Mnemonic.And
                or Mnemonic.Inc or Mnemonic.Dec && _code[_now + 1].FlowControl == FlowControl.ConditionalBranch)
            {
                _w.AlignPair(before);
            }
            _temp0Group = temp0Group != None && LeavesTemp0(i) ? temp0Group : None;
            _temp1Group = untouched ? temp1Group : None;
            return;
        }
        if (_operandGroup[_now] >= 0)
        {
            bool leavesTemp0 = LeavesTemp0(i);
            _temp0Group = leavesTemp0 ? temp0Group : None;
            _temp1Group = temp1Group;
            Mem grouped = EmitGrouped(i, _operandGroup[_now], (int)i.MemoryDisplacement64, flagsLive, leavesTemp0);
            _temp1Group = EmitOperation(i, memory, grouped) ? _temp1Group : None;
            return;
        }
        int size = OperandBytes(i);
        if (size == 0)
        {
            EmitSlow(i); // no known operand size: C# refuses it
            return;
        }
        int start = _w.Length;
        EmitOperandAddress(i);
        Site site = SiteOf(i, SiteKind.Access, size);
        site.Write = InstructionClass.WritesMemory(i);
        site.Masked = MaskedOperands.IsPartial(i);
        Mem m = EmitCheck(ref site, start, flagsLive, out int index);
        EmitOperation(i, memory, m);
        SetAfter(index);
    }

    /// <summary>An instruction that only its own registers are touched by, all of which the translator holds in registers.</summary>
    private static bool LeavesTemp0(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n))
                && (Of(GprNumber(i.GetOpRegister(n))) < 0 || IsHighByte(i.GetOpRegister(n))))
            {
                return false;
            }
        }
        return !CountInCl(i) && i.Mnemonic is not (Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b or Mnemonic.Pcmpistri or Mnemonic.Pcmpestri
            or Mnemonic.Vpcmpistri or Mnemonic.Vpcmpestri or Mnemonic.Pcmpestri64 or Mnemonic.Vpcmpestri64);
    }

    private static int MemoryOperand(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Memory)
            {
                return n;
            }
        }
        return -1;
    }

    /// <summary>Guest registers of an instruction that cannot stay where they live.</summary>
    private struct Substitution
    {
        public int Count;
        public int Guest0, Guest1, Guest2, Host0, Host1, Host2;

        public readonly int HostOf(int guest) =>
            Count > 0 && Guest0 == guest ? Host0 : Count > 1 && Guest1 == guest ? Host1
            : Count > 2 && Guest2 == guest ? Host2 : -1;

        public void Add(int guest)
        {
            if (HostOf(guest) >= 0)
            {
                return;
            }
            switch (Count++)
            {
                case 0: Guest0 = guest; Host0 = 99; break;
                case 1: Guest1 = guest; Host1 = 99; break;
                default: Guest2 = guest; Host2 = 99; break;
            }
        }

        public void Place(int n, int host)
        {
            switch (n)
            {
                case 0: Host0 = host; break;
                case 1: Host1 = host; break;
                default: Host2 = host; break;
            }
        }

        public readonly (int Guest, int Host) At(int n) =>
            n == 0 ? (Guest0, Host0) : n == 1 ? (Guest1, Host1) : (Guest2, Host2);
    }

    /// <summary>
    /// Encodes the instruction on host registers; its memory operand, when it has one, is <paramref name="m"/>
    /// (which uses TEMP0 and perhaps TEMP1). True when TEMP1 is as it was.
    /// </summary>
    private bool EmitOperation(in Instruction i, int memory, Mem m)
    {
        Substitution subs = default;
        bool high = false, highCx = false;
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n)))
            {
                high |= IsHighByte(i.GetOpRegister(n));
                highCx |= i.GetOpRegister(n) == Register.CH;
            }
        }
        bool countInCl = CountInCl(i);
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) != OpKind.Register || !IsGpr(i.GetOpRegister(n)) || (countInCl && n == i.OpCount - 1))
            {
                continue;
            }
            int guest = GprNumber(i.GetOpRegister(n));
            if (Of(guest) < 0 || (high && Of(guest) >= R8))
            {
                subs.Add(guest);
            }
        }
        bool wantsRcx = countInCl || i.Mnemonic is Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b;
        bool setsRcx = i.Mnemonic is Mnemonic.Pcmpistri or Mnemonic.Pcmpestri or Mnemonic.Vpcmpistri or Mnemonic.Vpcmpestri
            or Mnemonic.Pcmpestri64 or Mnemonic.Vpcmpestri64;
        if (TryEmitMove(i) || (memory < 0 && subs.Count > 0 && TryEmitOnSlot(i)))
        {
            return true;
        }
        bool leavesTemp1 = subs.Count == 0 && !wantsRcx && !(high && memory >= 0);
        if (leavesTemp1)
        {
            Encode(i, subs, memory, m, countInCl);
        }
        else
        {
            leavesTemp1 = EmitSubstituted(i, ref subs, memory, m, high, wantsRcx, countInCl);
        }
        if (setsRcx)
        {
            _w.Mov64(GuestRcx, Rcx);
        }
        return leavesTemp1;
    }

    /// <summary>MOV between general registers of which one lives in the vCPU block: a load or a store.</summary>
    private bool TryEmitMove(in Instruction i)
    {
        if (i.Mnemonic != Mnemonic.Mov || i.GetOpKind(0) != OpKind.Register || i.GetOpKind(1) != OpKind.Register
            || i.GetOpRegister(0) is < Register.EAX or > Register.R15 || i.GetOpRegister(1) is < Register.EAX or > Register.R15)
        {
            return false;
        }
        int to = GprNumber(i.GetOpRegister(0)), from = GprNumber(i.GetOpRegister(1));
        bool wide = i.GetOpRegister(0) >= Register.RAX;
        if (Of(to) >= 0 && Of(from) >= 0)
        {
            return false;
        }
        int host = Of(to) >= 0 ? Of(to) : Temp0;
        if (Of(from) >= 0 && wide)
        {
            host = Of(from);
        }
        else if (Of(from) >= 0)
        {
            _w.Mov32(host, Of(from));
        }
        else if (wide)
        {
            _w.Load64(host, Mem.Area(Slot(from)));
        }
        else
        {
            _w.Load32(host, Mem.Area(Slot(from)));
        }
        if (Of(to) < 0)
        {
            _w.Store64(Mem.Area(Slot(to)), host);
        }
        return true;
    }

    /// <summary>The value of a substituted register is of no interest: the instruction replaces all of it.</summary>
    private static bool IsReplaced(in Instruction i, int guest)
    {
        int targets = i.Mnemonic switch
        {
            Mnemonic.Mulx => 2,
            Mnemonic.Mov or Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd or Mnemonic.Rorx or Mnemonic.Shlx or Mnemonic.Shrx
                or Mnemonic.Kmovb or Mnemonic.Kmovw or Mnemonic.Kmovd or Mnemonic.Kmovq or Mnemonic.Sarx or Mnemonic.Andn or Mnemonic.Movd or Mnemonic.Movq or Mnemonic.Pmovmskb or Mnemonic.Vpmovmskb => 1,
            _ => 0,
        };
        bool replaced = false;
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n)) && GprNumber(i.GetOpRegister(n)) == guest)
            {
                replaced = n < targets && i.GetOpRegister(n) >= Register.EAX;
                if (!replaced)
                {
                    return false;
                }
            }
        }
        return replaced;
    }

    /// <summary>Returns true when TEMP1 is as it was.</summary>
    private bool EmitSubstituted(in Instruction i, ref Substitution subs, int memory, Mem m, bool high,
        bool wantsRcx, bool countInCl)
    {
        Span<int> borrowed = stackalloc int[3];
        int borrows = 0;
        bool rcxFree = !wantsRcx, temp1Free = true, temp1Touched = false;
        bool addressIsInTemp1 = memory >= 0 && m.Base == Temp1 && m.Index < 0 && subs.Count == 1 && !high && !wantsRcx;
        if (addressIsInTemp1)
        {
            temp1Free = false;
        }
        else if (memory >= 0)
        {
            // gather the address in one register: TEMP0, or TEMP1 when RCX is needed for something else
            bool needRcx = wantsRcx || (high && subs.HostOf(1) >= 0);
            int address = !needRcx ? Temp0 : high ? Borrow(i, subs, true, borrowed, ref borrows) : Temp1;
            if (m.Index >= 0 || address != m.Base || m.Displacement != 0)
            {
                _w.Lea64(address, m);
            }
            m = Mem.At(address);
            rcxFree &= address != Temp0;
            temp1Free = address != Temp1;
            temp1Touched = !temp1Free;
        }
        for (int n = 0; n < subs.Count; n++)
        {
            int guest = subs.At(n).Guest, host;
            if (high && guest == 1)
            {
                Debug.Require(rcxFree || countInCl, "rcx for a high byte"); // of ch by cl: both are in it
                host = Rcx;
                rcxFree = false;
            }
            else if (rcxFree && !(high && subs.HostOf(1) >= 0))
            {
                host = Rcx;
                rcxFree = false;
            }
            else if (temp1Free && !high)
            {
                host = Temp1;
                temp1Free = false;
                temp1Touched = true;
            }
            else
            {
                host = Borrow(i, subs, high, borrowed, ref borrows);
            }
            subs.Place(n, host);
            if (!IsReplaced(i, guest))
            {
                LoadGuest(host, guest);
            }
        }
        if (wantsRcx)
        {
            _w.Mov64(Rcx, GuestRcx);
        }
        Encode(i, subs, memory, m, countInCl);
        int written = RegisterWrites.Of(i);
        for (int n = 0; n < subs.Count; n++)
        {
            (int guest, int host) = subs.At(n);
            if ((written >> guest & 1) != 0)
            {
                StoreGuest(host, guest);
            }
        }
        while (borrows-- > 0)
        {
            _w.Load64(borrowed[borrows], Mem.Area(BorrowSlot(borrows)));
        }
        return !temp1Touched;
    }

    private static int BorrowSlot(int n) => n switch
    {
        0 => VcpuArea.Borrowed, 1 => VcpuArea.Borrowed1, _ => VcpuArea.Borrowed2,
    };

    /// <summary>Frees a host register that the instruction does not use by saving it in the vCPU block.</summary>
    private int Borrow(in Instruction i, in Substitution subs, bool legacy, Span<int> borrowed, ref int borrows)
    {
        ReadOnlySpan<int> candidates = legacy ? [Rbx, Rsi, Rdi, Rbp, Rdx] : [R15, R14, R13, R12, Rbx, Rsi, Rdi];
        foreach (int host in candidates)
        {
            bool used = false;
            foreach (UsedRegister register in _info.GetInfo(i).GetUsedRegisters())
            {
                used |= IsGpr(register.Register) && GprNumber(register.Register) == host;
            }
            for (int n = 0; n < borrows; n++)
            {
                used |= borrowed[n] == host;
            }
            if (!used)
            {
                _w.Store64(Mem.Area(BorrowSlot(borrows)), host);
                borrowed[borrows++] = host;
                return host;
            }
        }
        throw new InvalidOperationException($"software engine: no register to borrow for {i}");
    }

    private void LoadGuest(int host, int guest)
    {
        int home = Of(guest);
        if (home >= 0)
        {
            _w.Mov64(host, home);
        }
        else
        {
            _w.Load64(host, Mem.Area(Slot(guest)));
        }
    }

    private void StoreGuest(int host, int guest)
    {
        int home = Of(guest);
        if (home >= 0)
        {
            _w.Mov64(home, host);
        }
        else
        {
            _w.Store64(Mem.Area(Slot(guest)), host);
        }
    }

    private void Encode(in Instruction i, in Substitution subs, int memory, Mem m, bool countInCl)
    {
        Instruction host = i;
        if (!_long || memory >= 0)
        {
            host.Code = LongForm(i.Code);
        }
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) != OpKind.Register || !IsGpr(i.GetOpRegister(n)) || (countInCl && n == i.OpCount - 1))
            {
                continue;
            }
            Register register = i.GetOpRegister(n);
            int guest = GprNumber(register);
            int at = subs.HostOf(guest);
            host.SetOpRegister(n, SameWidth(register, at >= 0 ? at : Of(guest)));
        }
        if (memory >= 0)
        {
            SetMemory(ref host, m);
        }
        if (!_encoder.TryEncode(host, 0, out _, out string? error))
        {
            throw new InvalidOperationException($"software engine: cannot encode {i} ({i.Code}): {error}");
        }
    }

    /// <summary>Makes a host operand the one memory operand of an instruction.</summary>
    private static void SetMemory(ref Instruction host, in Mem m)
    {
        host.SegmentPrefix = Register.None;
        host.MemoryBase = Register.RAX + m.Base;
        host.MemoryIndex = m.Index < 0 ? Register.None : Register.RAX + m.Index;
        host.MemoryIndexScale = m.Scale;
        host.MemoryDisplacement64 = (ulong)m.Displacement;
        host.MemoryDisplSize = m.Displacement == 0 ? 0 : (sbyte)m.Displacement == m.Displacement ? 1 : 8;
    }

    /// <summary>
    /// The 64-bit encodable form of an instruction that has one of its own in 32-bit code or by absolute offset.
    /// MOVSXD to a 16-bit register is a plain move that on AMD's processors reads four bytes, two more than were checked.
    /// </summary>
    private static Iced.Intel.Code LongForm(Iced.Intel.Code code) => code switch
    {
        Iced.Intel.Code.Mov_AL_moffs8 => Iced.Intel.Code.Mov_r8_rm8,
        Iced.Intel.Code.Mov_AX_moffs16 => Iced.Intel.Code.Mov_r16_rm16,
        Iced.Intel.Code.Mov_EAX_moffs32 => Iced.Intel.Code.Mov_r32_rm32,
        Iced.Intel.Code.Mov_RAX_moffs64 => Iced.Intel.Code.Mov_r64_rm64,
        Iced.Intel.Code.Mov_moffs8_AL => Iced.Intel.Code.Mov_rm8_r8,
        Iced.Intel.Code.Mov_moffs16_AX => Iced.Intel.Code.Mov_rm16_r16,
        Iced.Intel.Code.Mov_moffs32_EAX => Iced.Intel.Code.Mov_rm32_r32,
        Iced.Intel.Code.Mov_moffs64_RAX => Iced.Intel.Code.Mov_rm64_r64,
        Iced.Intel.Code.Add_rm8_imm8_82 => Iced.Intel.Code.Add_rm8_imm8,
        Iced.Intel.Code.Or_rm8_imm8_82 => Iced.Intel.Code.Or_rm8_imm8,
        Iced.Intel.Code.Adc_rm8_imm8_82 => Iced.Intel.Code.Adc_rm8_imm8,
        Iced.Intel.Code.Sbb_rm8_imm8_82 => Iced.Intel.Code.Sbb_rm8_imm8,
        Iced.Intel.Code.And_rm8_imm8_82 => Iced.Intel.Code.And_rm8_imm8,
        Iced.Intel.Code.Sub_rm8_imm8_82 => Iced.Intel.Code.Sub_rm8_imm8,
        Iced.Intel.Code.Xor_rm8_imm8_82 => Iced.Intel.Code.Xor_rm8_imm8,
        Iced.Intel.Code.Cmp_rm8_imm8_82 => Iced.Intel.Code.Cmp_rm8_imm8,
        Iced.Intel.Code.Inc_r16 => Iced.Intel.Code.Inc_rm16,
        Iced.Intel.Code.Inc_r32 => Iced.Intel.Code.Inc_rm32,
        Iced.Intel.Code.Dec_r16 => Iced.Intel.Code.Dec_rm16,
        Iced.Intel.Code.Dec_r32 => Iced.Intel.Code.Dec_rm32,
        Iced.Intel.Code.Movsxd_r16_rm16 => Iced.Intel.Code.Mov_r16_rm16,
        _ => code,
    };

    private static bool CountInCl(in Instruction i)
    {
        if (i.Mnemonic is not (Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol
            or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld or Mnemonic.Shrd))
        {
            return false;
        }
        int last = i.OpCount - 1;
        return i.GetOpKind(last) == OpKind.Register && i.GetOpRegister(last) == Register.CL;
    }

    private static bool IsGpr(Register r) => r is >= Register.AL and <= Register.R15;

    private static bool IsHighByte(Register r) => r is >= Register.AH and <= Register.BH;

    /// <summary>The register with a host number, as wide as <paramref name="like"/>.</summary>
    private static Register SameWidth(Register like, int number)
    {
        if (like >= Register.RAX)
        {
            return Register.RAX + number;
        }
        if (like >= Register.EAX)
        {
            return Register.EAX + number;
        }
        if (like >= Register.AX)
        {
            return Register.AX + number;
        }
        if (IsHighByte(like))
        {
            return Register.AH + number; // ax, cx, dx, bx only
        }
        return number < 4 ? Register.AL + number : Register.SPL + (number - 4);
    }
}
