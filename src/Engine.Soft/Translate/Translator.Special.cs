using System;
using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>Instructions with a rule of their own, and which of their forms go to C# instead.</summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Forms of special instructions that are emulated in C# and end the block.</summary>
    private bool IsSlowForm(in Instruction i)
    {
        if (InstructionClass.RuleOf(i) != Rule.Special)
        {
            return false;
        }
        int slot = _long ? 8 : 4;
        switch (i.Mnemonic)
        {
            case Mnemonic.Push:
                return IsSegmentOperand(i) || i.StackPointerIncrement != -slot;
            case Mnemonic.Pop:
                return i.StackPointerIncrement != slot || i.GetOpKind(0) != OpKind.Register || IsSegmentOperand(i);
            case Mnemonic.Leave:
                return i.Code != (_long ? Iced.Intel.Code.Leaveq : Iced.Intel.Code.Leaved);
            case Mnemonic.Call or Mnemonic.Jmp:
                return i.GetOpKind(0) is OpKind.FarBranch16 or OpKind.FarBranch32 or OpKind.NearBranch16
                    || i.Code is Iced.Intel.Code.Jmp_rm16 or Iced.Intel.Code.Call_rm16 || IsFarIndirect(i);
            case Mnemonic.Ret:
                return i.Code is Iced.Intel.Code.Retnw or Iced.Intel.Code.Retnw_imm16;
            case Mnemonic.Cli or Mnemonic.Sti:
                return !_kernel;
            case Mnemonic.Cld:
                return (_key.Mode & BlockMode.Backward) != 0;
            case Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq
                or Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq:
                return !IsInlineString(i);
            case Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64 or Mnemonic.Xrstor or Mnemonic.Xrstor64:
                return IsDenied(i);
            case Mnemonic.Mov:
                return IsSegmentOperand(i) && i.GetOpRegister(0) is Register.CS or Register.SS;
            case Mnemonic.Jcxz:
                return true;
            case Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne or Mnemonic.Jecxz or Mnemonic.Jrcxz:
                return i.GetOpKind(0) == OpKind.NearBranch16;
            default:
                return false;
        }
    }

    private static bool IsSegmentOperand(in Instruction i) =>
        i.GetOpKind(0) == OpKind.Register && i.GetOpRegister(0) is >= Register.ES and <= Register.GS;

    private static bool IsFarIndirect(in Instruction i) => i.Code is Iced.Intel.Code.Jmp_m1616
        or Iced.Intel.Code.Jmp_m1632 or Iced.Intel.Code.Jmp_m1664 or Iced.Intel.Code.Call_m1616
        or Iced.Intel.Code.Call_m1632 or Iced.Intel.Code.Call_m1664;

    /// <summary>MOVS and STOS, with REP or alone, that the string routines can run: forward, flat segments, 64-bit counters.</summary>
    private bool IsInlineString(in Instruction i) =>
        _options.InlineStrings && _long && !i.HasRepnePrefix && (_key.Mode & BlockMode.Backward) == 0
        && i.SegmentPrefix is not (Register.FS or Register.GS)
        && i.GetOpKind(0) == OpKind.MemoryESRDI
        && (i.GetOpKind(1) is OpKind.MemorySegRSI || i.GetOpKind(1) == OpKind.Register);

    private void EmitSpecial(int n, in Instruction i)
    {
        bool flagsLive = _liveIn[n] != 0;
        if (IsSlowForm(i))
        {
            EmitSlow(i);
            return;
        }
        if (i.FlowControl == FlowControl.ConditionalBranch)
        {
            EmitConditional(n, i);
            return;
        }
        switch (i.Mnemonic)
        {
            case Mnemonic.Push: EmitPush(i, flagsLive); break;
            case Mnemonic.Pop: EmitPop(i, flagsLive); break;
            case Mnemonic.Leave: EmitLeave(i, flagsLive); break;
            case Mnemonic.Call: EmitCall(n, i); break;
            case Mnemonic.Ret: EmitReturn(i); break;
            case Mnemonic.Jmp: EmitJump(n, i); break;
            case Mnemonic.Lea: EmitLea(i); break;
            case Mnemonic.Mov: EmitSegmentMove(i, flagsLive); break;
            case Mnemonic.Cli or Mnemonic.Sti or Mnemonic.Cld: break;
            case Mnemonic.Syscall:
                EmitExit(new Site
                {
                    Kind = SiteKind.Syscall, Guest = (int)i.IP, Next = (int)i.IP + i.Length, Length = (byte)i.Length,
                });
                break;
            case Mnemonic.Ud2: EmitUndefined(i); break;
            case Mnemonic.Xlatb: EmitTableLookup(i, flagsLive); break;
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc: EmitBitTest(i, flagsLive); break;
            case Mnemonic.Xsave or Mnemonic.Xsave64 or Mnemonic.Xsavec or Mnemonic.Xsavec64 or Mnemonic.Xrstor or Mnemonic.Xrstor64:
                EmitSaveState(i, flagsLive);
                break;
            default: EmitString(i); break;
        }
    }

    /// <summary>UD2, or Xen's forced-emulation prefix in front of CPUID, which C# tells apart.</summary>
    private void EmitUndefined(in Instruction i)
    {
        int at = (int)i.IP;
        int behind = at + i.Length;
        ReadOnlySpan<byte> mark = "xen"u8;
        bool isInPage = behind + mark.Length <= PageSize;
        bool prefix = !isInPage || _bytes.AsSpan(behind, mark.Length).SequenceEqual(mark);
        if (isInPage)
        {
            _rests.Add(behind, mark.Length);
        }
        EmitExit(new Site { Kind = prefix ? SiteKind.Slow : SiteKind.Undefined, Guest = at, Length = (byte)i.Length, Value = (int)i.Code });
    }

    private void EmitLea(in Instruction i)
    {
        int guest = GprNumber(i.GetOpRegister(0));
        int host = Of(guest);
        if (i.MemoryBase == Register.RIP && host >= 0 && i.GetOpRegister(0) >= Register.RAX)
        {
            EmitGuestAddress(host, (long)i.MemoryDisplacement64);
            return;
        }
        bool plain = host >= 0 && _long && !i.IsIPRelativeMemoryOperand
            && IsHeld(i.MemoryBase) && IsHeld(i.MemoryIndex) && i.GetOpRegister(0) >= Register.EAX
            && !i.MemoryBase.IsGPR32() && !i.MemoryIndex.IsGPR32()
            && (i.MemoryBase != Register.None || i.MemoryIndex != Register.None);
        if (plain)
        {
            var sum = new Mem(HeldIn(i.MemoryBase), HeldIn(i.MemoryIndex),
                i.MemoryIndex == Register.None ? 1 : i.MemoryIndexScale, (int)i.MemoryDisplacement64);
            _w.Op(i.GetOpRegister(0) >= Register.RAX, 0x8d, host, sum);
            return;
        }
        EmitOperandAddress(i, withSegment: false);
        Register target = i.GetOpRegister(0);
        if (target >= Register.RAX)
        {
            StoreGuest(Temp0, guest);
        }
        else if (target >= Register.EAX)
        {
            _w.Mov32(Temp0, Temp0);
            StoreGuest(Temp0, guest);
        }
        else if (host >= 0)
        {
            _w.Byte(0x66);
            _w.Op(false, 0x89, Temp0, host);
        }
        else
        {
            _w.Byte(0x66);
            _w.Op(false, 0x89, Temp0, Mem.Area(Slot(guest)));
        }
    }

    private static bool IsHeld(Register r) => r == Register.None || Of(GprNumber(r)) >= 0;

    private static int HeldIn(Register r) => r == Register.None ? -1 : Of(GprNumber(r));

    private void EmitTableLookup(in Instruction i, bool flagsLive)
    {
        int start = _w.Length;
        _w.MovZeroExtend8(Temp0, Rax);
        if (i.MemoryBase == Register.RBX)
        {
            _w.Lea64(Temp0, new Mem(Rbx, Temp0, 1, 0));
        }
        else
        {
            _w.Lea32(Temp0, new Mem(Rbx, Temp0, 1, 0));
        }
        EmitSegmentBase(i);
        Site site = SiteOf(i, SiteKind.Access, 1);
        Mem m = EmitCheck(ref site, start, flagsLive, out int index);
        _w.Op(false, 0x8a, Rax, m);
        SetAfter(index);
    }

    /// <summary>BT and kin: with a register bit number the operand lies (number / width) words away.</summary>
    private void EmitBitTest(in Instruction i, bool flagsLive)
    {
        if (i.GetOpKind(0) != OpKind.Memory || i.GetOpKind(1) != OpKind.Register)
        {
            EmitGeneric(i, flagsLive, None, None);
            return;
        }
        int width = i.MemorySize.GetSize();
        int start = _w.Length;
        EmitBitWordAddress(i, width);
        Site site = SiteOf(i, SiteKind.Access, width);
        site.Write = i.Mnemonic != Mnemonic.Bt;
        Mem m = EmitCheck(ref site, start, flagsLive, out int index);
        EmitBitOperation(i, m, width);
        SetAfter(index);
    }

    private void EmitBitWordAddress(in Instruction i, int width)
    {
        EmitOperandAddress(i);
        _w.Store64(Mem.Area(VcpuArea.Spill2), Temp0);
        LoadGuest(Temp1, GprNumber(i.GetOpRegister(1)));
        if (width < 8)
        {
            _w.MovSignExtend(Temp1, Temp1, width);
        }
        _w.MovImm(Temp0, width == 8 ? 6UL : width == 4 ? 5UL : 4UL);
        _w.Sarx(true, Temp1, Temp1, Temp0);
        _w.Load64(Temp0, Mem.Area(VcpuArea.Spill2));
        var sum = new Mem(Temp0, Temp1, width, 0);
        if (_long)
        {
            _w.Lea64(Temp0, sum);
        }
        else
        {
            _w.Lea32(Temp0, sum);
        }
    }

    /// <summary>The operation on the word at <paramref name="m"/> with the bit number reduced to its width.</summary>
    private void EmitBitOperation(in Instruction i, Mem m, int width)
    {
        if (m.Index >= 0)
        {
            _w.Lea64(Temp0, m);
        }
        LoadGuest(Temp1, GprNumber(i.GetOpRegister(1)));
        int mask = width == 8 ? VcpuArea.Mask63 : width == 4 ? VcpuArea.Mask31 : VcpuArea.Mask15;
        _w.Pext(Temp1, Temp1, Mem.Area(mask));
        Instruction host = i;
        SetMemory(ref host, Mem.At(Temp0));
        host.SetOpRegister(1, SameWidth(i.GetOpRegister(1), Temp1));
        Debug.Require(_encoder.TryEncode(host, 0, out _, out _), "bit test encoding");
    }

    /// <summary>XSAVE, XSAVEC and XRSTOR: the host's XCR0 may have more than the guest's, whose image may be smaller then than is checked.</summary>
    private void EmitSaveState(in Instruction i, bool flagsLive)
    {
        int start = _w.Length;
        EmitOperandAddress(i);
        Site site = SiteOf(i, SiteKind.Access, OperandBytes(i));
        site.Write = i.Mnemonic is not (Mnemonic.Xrstor or Mnemonic.Xrstor64);
        Mem m = EmitCheck(ref site, start, flagsLive, out int index);
        EmitSaveStateOperation(i, m);
        SetAfter(index);
    }

    private void EmitSaveStateOperation(in Instruction i, Mem m)
    {
        if (m.Index >= 0)
        {
            _w.Lea64(Temp0, m);
        }
        _w.Store64(Mem.Area(VcpuArea.Borrowed), Rax);
        _w.Store64(Mem.Area(VcpuArea.Borrowed1), Rdx);
        _w.Load64(Temp1, Mem.Area(VcpuArea.Xcr0));
        _w.PextRegister(Rax, Rax, Temp1); // AND that leaves flags alone
        _w.PdepRegister(Rax, Rax, Temp1);
        _w.MovImm(Rdx, 0);
        Instruction host = i;
        SetMemory(ref host, Mem.At(Temp0));
        Debug.Require(_encoder.TryEncode(host, 0, out _, out _), "xsave encoding");
        _w.Load64(Rax, Mem.Area(VcpuArea.Borrowed));
        _w.Load64(Rdx, Mem.Area(VcpuArea.Borrowed1));
    }

    private void EmitString(in Instruction i)
    {
        int log = i.Mnemonic switch
        {
            Mnemonic.Movsb or Mnemonic.Stosb => 0,
            Mnemonic.Movsw or Mnemonic.Stosw => 1,
            Mnemonic.Movsd or Mnemonic.Stosd => 2,
            _ => 3,
        };
        bool move = i.Mnemonic is Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq;
        byte* routine = move ? _routines.Movs(log, _kernel) : _routines.Stos(log, _kernel);
        if (!i.HasRepPrefix)
        {
            _w.Store64(Mem.Area(VcpuArea.Borrowed), GuestRcx);
            _w.MovImm(GuestRcx, 1);
        }
        _external.Add((_w.Call(), (nint)routine));
        if (!i.HasRepPrefix)
        {
            _w.Load64(GuestRcx, Mem.Area(VcpuArea.Borrowed));
        }
        int done = _w.Jrcxz();
        EmitSlow(i);
        _w.PatchShort(done);
    }

    /// <summary>
    /// A copy of one instruction that works on the bounce buffer instead of guest memory: the operand's host
    /// address is in spill slot 1. Returns null when the cache is full.
    /// </summary>
    public byte* TranslateStep(TranslationBlock block, in Site site)
    {
        BeginAside(block);
        LoadBytes(_key.Frame, block.SecondFrame);
        TryDecode(site.Guest, out Instruction i, out _, PageSize + 16);
        _w.Load64(Temp0, Mem.Area(VcpuArea.Spill1));
        EmitAccessOnCopy(i, Mem.At(Temp0));
        EmitWordFor(_routines.Exit, unchecked((int)Routines.StepMark), isCall: false);
        return FinishAside();
    }
}
