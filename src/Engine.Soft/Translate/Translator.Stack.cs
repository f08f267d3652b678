using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using Ryokan.X86;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>PUSH, POP, CALL, RET, LEAVE: the stack pointer changes only after the access has succeeded.</summary>
internal sealed unsafe partial class Translator
{
    private int SlotBytes => _long ? 8 : 4;

    /// <summary>What guest RSP has to be moved by before anything but a grouped stack access may see it.</summary>
    private int _pendingStack;

    /// <summary>
    /// True for instructions that cannot leave the block and do not look at RSP: adjustments before them may wait and be made at once.
    /// </summary>
    private bool KeepsStackPending(int n, in Instruction i)
    {
        if (_pendingStack == 0 && _stackGroup[n] < 0)
        {
            return true;
        }
        int group = _stackGroup[n];
        if (group >= 0)
        {
            return _groups[group].Emitted && IsDeferrable(i);
        }
        return InstructionClass.RuleOf(i) is Rule.Generic or Rule.Nop && !IsDenied(i) && MemoryOperand(i) < 0 && !UsesStackPointer(i)
            && i.Mnemonic is Mnemonic.Mov or Mnemonic.Xor or Mnemonic.Add or Mnemonic.Sub or Mnemonic.And or Mnemonic.Or or Mnemonic.Cmp
                or Mnemonic.Test or Mnemonic.Movzx or Mnemonic.Movsxd or Mnemonic.Nop or Mnemonic.Endbr64;
    }

    /// <summary>Pushes and pops of registers that the translator holds in registers, and returns.</summary>
    private static bool IsDeferrable(in Instruction i) => i.Mnemonic switch
    {
        Mnemonic.Push => i.GetOpKind(0) == OpKind.Register && IsHeldAndNotStack(i.GetOpRegister(0)),
        Mnemonic.Pop => IsHeldAndNotStack(i.GetOpRegister(0)),
        Mnemonic.Ret => true,
        _ => false,
    };

    private static bool IsHeldAndNotStack(Register r) => GprNumber(r) != (int)Gpr.Rsp && Of(GprNumber(r)) >= 0;

    private static bool UsesStackPointer(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n)) && GprNumber(i.GetOpRegister(n)) == (int)Gpr.Rsp
                && !IsHighByte(i.GetOpRegister(n)))
            {
                return true;
            }
        }
        return false;
    }

    private void FlushStack()
    {
        if (_pendingStack != 0)
        {
            _w.Lea64(GuestRsp, Mem.At(GuestRsp, _pendingStack));
            _pendingStack = 0;
        }
    }

    /// <summary>Moves guest RSP, at once or, in a block whose stack accesses are checked together, when it is next looked at.</summary>
    private void AdjustStack(int bytes)
    {
        if (_stackGroup[_now] >= 0)
        {
            _pendingStack += bytes;
            return;
        }
        EmitAdjustStack(bytes);
    }

    private void EmitAdjustStack(int bytes)
    {
        var sum = Mem.At(GuestRsp, bytes);
        if (_long)
        {
            _w.Lea64(GuestRsp, sum);
        }
        else
        {
            _w.Lea32(GuestRsp, sum);
        }
    }

    /// <summary>TEMP0 = address of the slot below the stack pointer.</summary>
    private void EmitPushAddress()
    {
        var below = Mem.At(GuestRsp, -SlotBytes);
        if (_long)
        {
            _w.Lea64(Temp0, below);
        }
        else
        {
            _w.Lea32(Temp0, below);
        }
    }

    private void EmitPushValue(in Instruction i, bool flagsLive, StoreSource source, int register, long value)
    {
        int group = _stackGroup[_now];
        if (group >= 0)
        {
            EmitStoreValue(EmitGrouped(i, group, -SlotBytes, flagsLive), SlotBytes, source, register, value);
        }
        else
        {
            int start = _w.Length;
            EmitPushAddress();
            EmitStore(i, start, SlotBytes, flagsLive, source, register, value);
        }
        AdjustStack(-SlotBytes);
    }

    private void EmitPush(in Instruction i, bool flagsLive)
    {
        switch (i.GetOpKind(0))
        {
            case OpKind.Register:
                EmitPushValue(i, flagsLive, StoreSource.Register, GprNumber(i.GetOpRegister(0)), 0);
                break;
            case OpKind.Memory:
                EmitOperandLoad(i, flagsLive);
                _w.Store64(Mem.Area(VcpuArea.Spill2), Temp0);
                EmitPushValue(i, flagsLive, StoreSource.Spill, 0, 0);
                break;
            default:
                EmitPushValue(i, flagsLive, StoreSource.Immediate, 0, (int)i.GetImmediate(0));
                break;
        }
    }

    private void EmitPop(in Instruction i, bool flagsLive)
    {
        int target = GprNumber(i.GetOpRegister(0)), home = Of(target);
        if (_stackGroup[_now] >= 0 && home >= 0 && target != (int)Gpr.Rsp)
        {
            _w.Load64(home, EmitGrouped(i, _stackGroup[_now], 0, flagsLive));
            AdjustStack(SlotBytes);
            return;
        }
        EmitTop(i, flagsLive);
        FlushStack();
        EmitAdjustStack(SlotBytes);
        StoreGuest(Temp0, GprNumber(i.GetOpRegister(0)));
    }

    /// <summary>TEMP0 = the slot at the stack pointer.</summary>
    private void EmitTop(in Instruction i, bool flagsLive)
    {
        if (_stackGroup[_now] >= 0)
        {
            _w.Load64(Temp0, EmitGrouped(i, _stackGroup[_now], 0, flagsLive));
            return;
        }
        int start = _w.Length;
        _w.Mov64(Temp0, GuestRsp);
        EmitLoad(i, start, SlotBytes, flagsLive);
    }

    /// <summary>TEMP0 = the memory operand, one stack slot wide.</summary>
    private void EmitOperandLoad(in Instruction i, bool flagsLive)
    {
        if (_operandGroup[_now] >= 0)
        {
            _w.Load64(Temp0, EmitGrouped(i, _operandGroup[_now], (int)i.MemoryDisplacement64, flagsLive));
            return;
        }
        int start = _w.Length;
        EmitOperandAddress(i);
        EmitLoad(i, start, SlotBytes, flagsLive);
    }

    private void EmitLeave(in Instruction i, bool flagsLive)
    {
        int start = _w.Length;
        _w.Mov64(Temp0, Rbp);
        EmitLoad(i, start, SlotBytes, flagsLive);
        _w.Mov64(GuestRsp, Rbp);
        EmitAdjustStack(SlotBytes);
        _w.Mov64(Rbp, Temp0);
    }

    private void EmitCall(int n, in Instruction i)
    {
        bool flagsLive = _liveIn[n] != 0;
        long back = (long)i.IP + i.Length;
        if (i.FlowControl == FlowControl.IndirectCall)
        {
            EmitIndirectTarget(i, flagsLive);
            _w.Store64(Mem.Area(VcpuArea.CallTarget), Temp0);
        }
        ulong absolute = _pageVa + (ulong)back;
        if (_pageVa != 0 && (long)absolute == (int)absolute)
        {
            EmitPushValue(i, flagsLive, StoreSource.Immediate, 0, (long)absolute);
        }
        else
        {
            EmitPushValue(i, flagsLive, StoreSource.GuestAddress, 0, back);
        }
        FlushStack();
        RestoreFlags();
        if (i.FlowControl == FlowControl.IndirectCall)
        {
            _w.Load64(Temp0, Mem.Area(VcpuArea.CallTarget));
            EmitJumpCache();
        }
        else if (_pageVa == 0 && _stackGroup[n] >= 0 && !IsInPage(Target(i)))
        {
            long wanted = CanLinkFar ? Target(i) & ~(PageSize - 1L) : Target(i);
            _w.Lea64(Temp0, Mem.At(Temp0, (int)(wanted - back))); // TEMP0 is the return address
            if (CanLinkFar)
            {
                EmitFarLink(Target(i), -1);
            }
            else
            {
                EmitJumpCache();
            }
        }
        else
        {
            EmitDirectExit(Target(i), int.MinValue, true); // no poll: what is called returns, which is one, or overflows its stack
        }
    }

    private void EmitReturn(in Instruction i)
    {
        EmitTop(i, true);
        AdjustStack(SlotBytes + (i.OpCount > 0 ? (int)i.GetImmediate(0) : 0));
        FlushStack();
        RestoreFlags();
        EmitJumpCache();
    }
}
