using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// Which arithmetic flags have no architecturally defined value before each item (a forward data flow over
/// Iced's tables, joined at labels), and which of them are read again (the backward one).
/// </summary>
public sealed class FlagFlow
{
    /// <summary>Undefined flags before each item, in order.</summary>
    public Rflags[] Before { get; }

    /// <summary>Flags that may be read after each item starts; the end of a sequence shows all of them.</summary>
    public Rflags[] Live { get; }

    /// <summary>First item that reads a flag without a value, or -1. Such a sequence proves nothing.</summary>
    public int FirstBadReader { get; } = -1;

    public FlagFlow(IReadOnlyList<BlobItem> items)
    {
        Before = new Rflags[items.Count];
        Live = new Rflags[items.Count];
        var labels = new Dictionary<int, int>();
        for (int i = 0; i < items.Count; i++)
        {
            if (items[i].IsLabel)
            {
                labels[items[i].Label] = i;
            }
        }
        while (Pass(items, labels) | PassBackward(items, labels))
        {
        }
        for (int i = 0; i < items.Count && FirstBadReader < 0; i++)
        {
            if (!items[i].IsLabel && (Before[i] & ToRflags(items[i].Instruction.RflagsRead)) != 0)
            {
                FirstBadReader = i;
            }
        }
    }

    private bool Pass(IReadOnlyList<BlobItem> items, Dictionary<int, int> labels)
    {
        bool changed = false;
        for (int i = 0; i < items.Count; i++)
        {
            BlobItem item = items[i];
            Rflags after = item.IsLabel ? Before[i] : After(item.Instruction, Before[i]);
            if (!item.Stops && i + 1 < items.Count)
            {
                changed |= Join(i + 1, after);
            }
            if (item.Target >= 0 && labels.TryGetValue(item.Target, out int target))
            {
                changed |= Join(target, after);
            }
            foreach (int label in item.IndirectTargets)
            {
                changed |= labels.TryGetValue(label, out int at) && Join(at, after);
            }
        }
        return changed;
    }

    private bool PassBackward(IReadOnlyList<BlobItem> items, Dictionary<int, int> labels)
    {
        bool changed = false;
        for (int i = items.Count - 1; i >= 0; i--)
        {
            BlobItem item = items[i];
            Rflags after = item.Stops || i + 1 == items.Count ? 0 : Live[i + 1];
            bool known = !item.Stops && i + 1 < items.Count;
            foreach (int label in item.Target >= 0 ? [item.Target, .. item.IndirectTargets] : item.IndirectTargets)
            {
                known |= labels.TryGetValue(label, out int at);
                after |= labels.TryGetValue(label, out at) ? Live[at] : 0;
            }
            after = known ? after : Rflags.Arithmetic;
            Rflags before = item.IsLabel ? after
                : (after & ~OverwrittenBy(item.Instruction)) | ToRflags(item.Instruction.RflagsRead);
            changed |= before != Live[i];
            Live[i] = before;
        }
        return changed;
    }

    private bool Join(int at, Rflags undefined)
    {
        Rflags joined = Before[at] | undefined;
        bool changed = joined != Before[at];
        Before[at] = joined;
        return changed;
    }

    /// <summary>Undefined flags after an instruction that starts with <paramref name="before"/> undefined.</summary>
    public static Rflags After(in Instruction instruction, Rflags before)
    {
        Rflags undefined = UndefinedBy(instruction);
        return MayKeepFlags(instruction)
            ? before | undefined
            : (before & ~ToRflags(instruction.RflagsModified)) | undefined;
    }

    /// <summary>Flags that an instruction sets or leaves undefined whatever its operands are, and does not read.</summary>
    public static Rflags OverwrittenBy(in Instruction instruction) => MayKeepFlags(instruction)
        ? 0
        : ToRflags(instruction.RflagsModified) & ~ToRflags(instruction.RflagsRead);

    public static Rflags UndefinedBy(in Instruction instruction)
    {
        Rflags undefined = ToRflags(instruction.RflagsUndefined);
        return ShiftsOutEverything(instruction) ? undefined | Rflags.CF : undefined;
    }

    /// <summary>A count of zero, unknown before it runs, leaves all flags as they were.</summary>
    private static bool MayKeepFlags(in Instruction instruction)
    {
        bool repeated = instruction.HasRepPrefix || instruction.HasRepnePrefix;
        return repeated || instruction.Mnemonic switch
        {
            Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Sal or Mnemonic.Rol or Mnemonic.Ror
                or Mnemonic.Rcl or Mnemonic.Rcr => instruction.Op1Kind == OpKind.Register,
            Mnemonic.Shld or Mnemonic.Shrd => instruction.Op2Kind == OpKind.Register,
            _ => false,
        };
    }

    /// <summary>CF of SHL and SHR is undefined when the count reaches the operand's width (SDM, SAL/SAR/SHL/SHR).</summary>
    private static bool ShiftsOutEverything(in Instruction instruction)
    {
        if (instruction.Mnemonic is not (Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sal))
        {
            return false;
        }
        int bits = OperandBits(instruction);
        return bits <= 16
            && (instruction.Op1Kind == OpKind.Register || (instruction.Immediate8 & 31) >= bits);
    }

    private static int OperandBits(in Instruction instruction) => 8 * (instruction.Op0Kind == OpKind.Register
        ? instruction.Op0Register.GetSize()
        : instruction.MemorySize.GetSize());

    public static Rflags ToRflags(RflagsBits bits)
    {
        Rflags flags = 0;
        flags |= (bits & RflagsBits.OF) != 0 ? Rflags.OF : 0;
        flags |= (bits & RflagsBits.SF) != 0 ? Rflags.SF : 0;
        flags |= (bits & RflagsBits.ZF) != 0 ? Rflags.ZF : 0;
        flags |= (bits & RflagsBits.AF) != 0 ? Rflags.AF : 0;
        flags |= (bits & RflagsBits.CF) != 0 ? Rflags.CF : 0;
        flags |= (bits & RflagsBits.PF) != 0 ? Rflags.PF : 0;
        return flags;
    }
}
