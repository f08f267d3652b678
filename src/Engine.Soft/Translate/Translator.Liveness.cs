using Iced.Intel;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>Flag liveness: which flags somebody may still read, so that checks know which they have to leave alone.</summary>
internal sealed unsafe partial class Translator
{
    private const int AllFlags = (int)(RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF | RflagsBits.CF | RflagsBits.PF);

    private void ComputeLiveness()
    {
        int live = AllFlags;
        if (_flowsOut && !_nextCrosses)
        {
            live = LiveAt(_end);
        }
        _liveIn[_count] = live;
        for (int n = _count - 1; n >= 0; n--)
        {
            ref readonly Instruction i = ref _code[n];
            if (i.FlowControl == FlowControl.ConditionalBranch)
            {
                live |= !_turned[n] ? LiveAtTarget(i) : LiveAt((int)i.IP + i.Length);
            }
            else if (IsDirectCall(i) || (i.FlowControl == FlowControl.UnconditionalBranch && n == _count - 1 && !_flowsOut))
            {
                live = LiveAtTarget(i);
            }
            live = LiveBefore(i, live);
            _liveIn[n] = _options.FlagLiveness ? live : AllFlags;
        }
    }

    private int LiveAtTarget(in Instruction branch)
    {
        long target = IsNear(branch) ? Target(branch) : -1;
        return _options.FlagLiveness && target >= 0 && target < PageSize ? LiveAt((int)target) : AllFlags;
    }

    private int LiveBefore(in Instruction i, int after)
    {
        Rule rule = InstructionClass.RuleOf(i);
        if (rule is Rule.Slow or Rule.Undefined || (rule == Rule.Special && (IsSlowForm(i) || IsOpaque(i))))
        {
            return AllFlags;
        }
        int kill = MayLeaveFlags(i) ? 0
            : (int)(i.RflagsModified | i.RflagsUndefined) & AllFlags;
        return (after & ~kill) | ((int)i.RflagsRead & AllFlags);
    }

    /// <summary>Leaves the block where nothing is known of what follows, or shows all flags to C#.</summary>
    private static bool IsOpaque(in Instruction i) =>
        (i.FlowControl is not (FlowControl.Next or FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch) && !IsDirectCall(i))
        || i.Mnemonic == Mnemonic.Ud2;

    private static bool IsDirectCall(in Instruction i) => i.FlowControl == FlowControl.Call && IsNear(i);

    /// <summary>Shifts whose count may be zero define no flag then.</summary>
    private static bool MayLeaveFlags(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror
                or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld or Mnemonic.Shrd:
                int last = i.OpCount - 1;
                return i.GetOpKind(last) == OpKind.Register || (i.GetImmediate(last) & 0x1f) == 0;
            case Mnemonic.Div or Mnemonic.Idiv:
                return true; // undefined on paper, left alone by processors
            default:
                return i.IsStringInstruction;
        }
    }

    /// <summary>Instructions that one look ahead may decode, and branches both of whose sides it follows.</summary>
    private const int LookAhead = 16, LookAheadBranches = 3;

    private int _lookAhead;

    private int LiveAt(int position)
    {
        _lookAhead = LookAhead;
        return LiveAt(position, AllFlags, LookAheadBranches);
    }

    /// <summary>Those of <paramref name="open"/> that code at a page offset may read before it writes them, as far as it looks.</summary>
    private int LiveAt(long position, int open, int branches)
    {
        int live = 0;
        while (open != 0 && _lookAhead-- > 0 && position >= 0 && position < PageSize
            && TryDecode((int)position, out Instruction i, out _, PageSize))
        {
            _rests.Add((int)position, i.Length);
            Rule rule = InstructionClass.RuleOf(i);
            if (rule is Rule.Slow or Rule.Undefined || (rule == Rule.Special && (IsSlowForm(i) || IsOpaque(i))))
            {
                break;
            }
            live |= (int)i.RflagsRead & open;
            if (!MayLeaveFlags(i))
            {
                open &= ~(int)(i.RflagsModified | i.RflagsUndefined);
            }
            position += i.Length;
            if (i.FlowControl == FlowControl.Next)
            {
                continue;
            }
            if (!IsNear(i))
            {
                break;
            }
            if (i.FlowControl is FlowControl.UnconditionalBranch or FlowControl.Call)
            {
                position = Target(i);
                continue;
            }
            if (branches-- == 0)
            {
                break;
            }
            live |= LiveAt(Target(i), open & ~live, branches);
        }
        return live | open;
    }
}
