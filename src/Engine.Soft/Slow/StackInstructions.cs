using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>The rarer forms of PUSH and POP, ENTER, 16-bit LEAVE, PUSHA, POPA, BOUND.</summary>
internal static class StackInstructions
{
    public static bool Execute(ref SlowInstructions.Context c)
    {
        ref Instruction i = ref c.I;
        switch (i.Mnemonic)
        {
            case Mnemonic.Push:
                int pushed = -i.StackPointerIncrement;
                return !c.TryOperand(0, pushed, out ulong value) || !c.TryPush(pushed, value);
            case Mnemonic.Pop:
                return Pop(ref c);
            case Mnemonic.Enter:
                return Enter(ref c);
            case Mnemonic.Leave:
                return Leave(ref c);
            case Mnemonic.Pusha or Mnemonic.Pushad:
                return PushAll(ref c, i.Mnemonic == Mnemonic.Pushad ? 4 : 2);
            case Mnemonic.Popa or Mnemonic.Popad:
                return PopAll(ref c, i.Mnemonic == Mnemonic.Popad ? 4 : 2);
            default:
                return Bound(ref c);
        }
    }

    private static bool Pop(ref SlowInstructions.Context c)
    {
        int bytes = c.I.StackPointerIncrement;
        if (!c.TryPeek(0, bytes, out ulong value))
        {
            return true;
        }
        if (c.I.GetOpKind(0) == OpKind.Register && SlowInstructions.Context.IsSegment(c.I.GetOpRegister(0)))
        {
            if (!SegmentInstructions.TryLoad(ref c, (SegmentRegister)(c.I.GetOpRegister(0) - Register.ES), (ushort)value))
            {
                return true;
            }
            c.Drop(bytes);
            return false;
        }
        ulong before = c.R[Gpr.Rsp];
        c.Drop(bytes); // an address through RSP uses the value after the increment
        if (!c.TrySetOperand(0, bytes, value))
        {
            c.R[Gpr.Rsp] = before;
            return true;
        }
        return false;
    }

    private static bool Enter(ref SlowInstructions.Context c)
    {
        int bytes = c.I.Code == Code.Enterq_imm16_imm8 ? 8 : c.I.Code == Code.Enterd_imm16_imm8 ? 4 : 2;
        int level = (int)c.I.GetImmediate(1) & 31;
        ulong before = c.R[Gpr.Rsp], frame;
        if (!c.TryPush(bytes, c.R[Gpr.Rbp]))
        {
            return true;
        }
        frame = c.R[Gpr.Rsp];
        for (int n = 1; n < level; n++)
        {
            if (!c.TryRead(c.Wrap(c.R[Gpr.Rbp] - (ulong)(n * bytes)), bytes, out ulong link) || !c.TryPush(bytes, link))
            {
                c.R[Gpr.Rsp] = before;
                return true;
            }
        }
        if (level > 0 && !c.TryPush(bytes, frame))
        {
            c.R[Gpr.Rsp] = before;
            return true;
        }
        c.R[Gpr.Rbp] = bytes == 2 ? (c.R[Gpr.Rbp] & ~0xffffUL) | (ushort)frame : c.Wrap(frame);
        c.R[Gpr.Rsp] = c.Wrap(c.R[Gpr.Rsp] - c.I.GetImmediate(0));
        return false;
    }

    private static bool Leave(ref SlowInstructions.Context c)
    {
        if (!c.TryRead(c.Wrap(c.R[Gpr.Rbp]), 2, out ulong value))
        {
            return true;
        }
        c.R[Gpr.Rsp] = c.Wrap(c.R[Gpr.Rbp] + 2);
        c.R[Gpr.Rbp] = (c.R[Gpr.Rbp] & ~0xffffUL) | (ushort)value;
        return false;
    }

    private static bool PushAll(ref SlowInstructions.Context c, int bytes)
    {
        ulong before = c.R[Gpr.Rsp];
        for (int n = 0; n < 8; n++)
        {
            if (!c.TryPush(bytes, n == 4 ? before : c.R.Gpr[n]))
            {
                c.R[Gpr.Rsp] = before;
                return true;
            }
        }
        return false;
    }

    private static bool PopAll(ref SlowInstructions.Context c, int bytes)
    {
        System.Span<ulong> values = stackalloc ulong[8];
        for (int n = 0; n < 8; n++)
        {
            if (!c.TryPeek(n * bytes, bytes, out values[7 - n]))
            {
                return true;
            }
        }
        c.Drop(8 * bytes);
        for (int n = 0; n < 8; n++)
        {
            if (n != 4)
            {
                c.R.Gpr[n] = bytes == 4 ? values[n] : (c.R.Gpr[n] & ~0xffffUL) | values[n];
            }
        }
        return false;
    }

    private static bool Bound(ref SlowInstructions.Context c)
    {
        int bytes = c.I.Code == Code.Bound_r16_m1616 ? 2 : 4;
        ulong at = c.Address();
        if (!c.TryRead(at, bytes, out ulong low) || !c.TryRead(at + (ulong)bytes, bytes, out ulong high))
        {
            return true;
        }
        ulong raw = c.Register(c.I.GetOpRegister(0));
        long index = bytes == 2 ? (short)raw : (int)raw;
        long from = bytes == 2 ? (short)low : (int)low, to = bytes == 2 ? (short)high : (int)high;
        return (index < from || index > to) && c.Fault(ExceptionVector.BoundRange);
    }
}
