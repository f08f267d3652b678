using Iced.Intel;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Flags that can be had again: where a comparison of registers, or a logical operation on one, has set them and its registers are as they
/// were, checks need not keep them. They are made again in front of whatever reads them, and where a check leaves.
/// </summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Number of the instruction that set the flags and could do so again; <see cref="None"/>: there is none.</summary>
    private int _setsFlags;

    /// <summary>A check has destroyed them since.</summary>
    private bool _flagsAreLost;

    /// <summary>Checks of the instruction that is being emitted may destroy them.</summary>
    private bool _mayLoseFlags;

    /// <summary>In front of an instruction: makes the flags again when it may look at them, or when it makes that impossible.</summary>
    private void PrepareFlags(int n, in Instruction i)
    {
        _mayLoseFlags = false;
        if (_setsFlags == None)
        {
            return;
        }
        switch (i.FlowControl)
        {
            case FlowControl.Next when LeavesFlags(i) && !Changes(i, _code[_setsFlags]):
                _mayLoseFlags = true;
                return;
            case FlowControl.Return or FlowControl.Call or FlowControl.IndirectCall or FlowControl.IndirectBranch when !IsSlowForm(i):
                _mayLoseFlags = true; // and makes them again when its accesses are done
                return;
            case FlowControl.UnconditionalBranch when n < _count - 1:
                return;
            case FlowControl.ConditionalBranch when i.IsJccShortOrNear:
                RestoreFlags();
                return;
        }
        if (_liveIn[n] != 0)
        {
            RestoreFlags();
        }
        _setsFlags = None;
        _flagsAreLost = false;
    }

    private void NoteFlags(int n, in Instruction i)
    {
        if (_options.FlagRecovery && CanSetFlagsAgain(i))
        {
            _setsFlags = n;
            _flagsAreLost = false;
        }
    }

    private void RestoreFlags()
    {
        if (_flagsAreLost)
        {
            SetFlagsAgain(_setsFlags);
            _flagsAreLost = false;
        }
    }

    /// <summary>Comparisons do it themselves; what a logical operation sets is what TEST says of its result.</summary>
    private void SetFlagsAgain(int n)
    {
        Instruction i = _code[n];
        if (i.Mnemonic is not (Mnemonic.Cmp or Mnemonic.Test))
        {
            Register result = i.GetOpRegister(0);
            Iced.Intel.Code test = result >= Register.RAX ? Iced.Intel.Code.Test_rm64_r64
                : result >= Register.EAX ? Iced.Intel.Code.Test_rm32_r32
                : result >= Register.AX ? Iced.Intel.Code.Test_rm16_r16 : Iced.Intel.Code.Test_rm8_r8;
            i = Instruction.Create(test, result, result);
        }
        Encode(i, default, -1, default, false);
    }

    private static bool CanSetFlagsAgain(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Cmp or Mnemonic.Test:
                return IsHeldOperand(i, 0) && (IsHeldOperand(i, 1) || i.GetOpKind(1) is not (OpKind.Register or OpKind.Memory));
            case Mnemonic.And or Mnemonic.Or or Mnemonic.Xor:
                return IsHeldOperand(i, 0);
            default:
                return false;
        }
    }

    private static bool IsHeldOperand(in Instruction i, int n) => i.GetOpKind(n) == OpKind.Register && IsGpr(i.GetOpRegister(n))
        && !IsHighByte(i.GetOpRegister(n)) && IsHeldAndNotStack(i.GetOpRegister(n));

    /// <summary>
    /// Neither reads nor writes a flag, and cannot fault but for its checked operand: no signal may find flags that are lost.
    /// </summary>
    private bool LeavesFlags(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Mov:
                return !InstructionClass.IsSegmentMove(i) && InstructionClass.RuleOf(i) == Rule.Generic;
            case Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd or Mnemonic.Lea or Mnemonic.Cdq or Mnemonic.Cqo or Mnemonic.Cdqe or Mnemonic.Cwde
                or Mnemonic.Not or Mnemonic.Bswap or Mnemonic.Nop or Mnemonic.Endbr64:
                return true;
            case Mnemonic.Push or Mnemonic.Pop:
                return !IsSlowForm(i);
            case Mnemonic.Movups or Mnemonic.Movdqu or Mnemonic.Movd or Mnemonic.Movq or Mnemonic.Movss:
                return InstructionClass.RuleOf(i) == Rule.Generic && !IsDenied(i);
            default:
                return false;
        }
    }

    /// <summary>True when the instruction changes a register that the other one, whose flags are wanted, looks at.</summary>
    private static bool Changes(in Instruction i, in Instruction setter)
    {
        int written = RegisterWrites.Of(i);
        if (i.Mnemonic == Mnemonic.Pop)
        {
            written |= 1 << GprNumber(i.GetOpRegister(0));
        }
        bool comparison = setter.Mnemonic is Mnemonic.Cmp or Mnemonic.Test;
        return (written >> GprNumber(setter.GetOpRegister(0)) & 1) != 0
            || (comparison && setter.GetOpKind(1) == OpKind.Register && (written >> GprNumber(setter.GetOpRegister(1)) & 1) != 0);
    }
}
