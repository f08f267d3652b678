using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using Ryokan.X86;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Groups: accesses of one block through one base register, or one pair of base and index, whose values change by constants only, of one
/// kind (read or write), within one page. One check at the first of them covers the range of all; the others need none, for nothing that
/// could change the mapping happens before the block is left. The stack is a group of its own kind:
/// its page is kept in the vCPU block, so that its check needs no table look-up.
/// When the range crosses a page, or the page may not be written that way, the block's ungrouped variant goes on.
/// </summary>
internal sealed unsafe partial class Translator
{
    private const int MaxSpan = 640;
    private const int None = -1;

    private struct Group
    {
        public int Base;

        /// <summary>The index register, when <see cref="Scale"/> is not 0.</summary>
        public int Index, Scale;
        public bool Write;

        /// <summary>Its page is the one that the vCPU block remembers.</summary>
        public readonly bool IsStack => Base == (int)Gpr.Rsp && Scale == 0;

        /// <summary>Covered range, in bytes from the base (and index) register's value when the group's version of it began.</summary>
        public int Low, High;

        /// <summary>The base register's offset from that value where the check is made.</summary>
        public int FirstOffset;

        /// <summary>Number of the instruction in front of which the check is made.</summary>
        public int CheckAt;
        public int Count;

        /// <summary>Conditional branches before the first access.</summary>
        public int Branches;
        public int Slot;
        public bool Emitted;
    }

    private readonly Group[] _groups = new Group[2 * MaxInstructions];
    private int _groupCount;

    /// <summary>Group of an instruction's memory operand, and of its push, pop, call or return.</summary>
    private readonly int[] _operandGroup = new int[MaxInstructions], _stackGroup = new int[MaxInstructions];

    /// <summary>First byte of the operand, in bytes from the base register's value when its version began.</summary>
    private readonly int[] _operandLow = new int[MaxInstructions];

    /// <summary>Group whose host address (the stack: host - guest address) is in TEMP1, or none.</summary>
    private int _temp1Group = None;

    /// <summary>The group, but none of the stack, whose host address TEMP0 holds; the second of two that take turns.</summary>
    private int _temp0Group = None;

    private readonly Dictionary<Address, int> _open = [];

    /// <summary>What accesses of one group have in common: the registers in their versions, and the kind.</summary>
    private readonly record struct Address(int Base, int BaseVersion, int Index, int IndexVersion, int Scale, bool Write);
    private readonly int[] _version = new int[17], _offset = new int[17];

    /// <summary>Number of RIP as a base register: the page's address, which nothing in a block changes.</summary>
    public const int RipBase = 16;

    private static int BaseNumber(in Instruction i) => i.MemoryBase == Register.RIP ? RipBase : GprNumber(i.MemoryBase);

    private void PlanGroups()
    {
        _groupCount = 0;
        Array.Fill(_operandGroup, None);
        Array.Fill(_stackGroup, None);
        if (!_options.Grouping || !_long || (_key.Mode & (BlockMode.Ungrouped | BlockMode.SingleStep)) != 0)
        {
            return;
        }
        _open.Clear();
        Array.Clear(_version);
        Array.Clear(_offset);
        _branches = 0;
        for (int n = 0; n < _count; n++)
        {
            _planned = n;
            PlanInstruction(n, _code[n]);
        }
        int slots = 0;
        for (int g = 0; g < _groupCount; g++)
        {
            ref Group group = ref _groups[g];
            group.Slot = None;
            if (!group.IsStack && group.Count > 1 && slots < VcpuArea.GroupSlots)
            {
                group.Slot = VcpuArea.GroupSlot(slots++);
            }
        }
        for (int n = 0; n < _count; n++)
        {
            if (_operandGroup[n] >= 0 && IsAlone(_groups[_operandGroup[n]]))
            {
                _operandGroup[n] = None;
            }
        }
        _earlyChecks.Clear();
        for (int g = 0; g < _groupCount; g++)
        {
            if (!IsAlone(_groups[g]))
            {
                MoveCheckUp(ref _groups[g], g);
            }
        }
    }

    /// <summary>Groups whose check is made before their first access.</summary>
    private readonly List<int> _earlyChecks = [];

    /// <summary>
    /// Where flags are live at a group's first access, its check is made in front of an earlier instruction that does not need them, as
    /// far as the base register's value is known there and no branch lies between. A check has no effect but to leave for the
    /// ungrouped variant, which faults exactly.
    /// </summary>
    private void MoveCheckUp(ref Group group, int g)
    {
        if (IsOfOtherStackGroup(group.CheckAt, group, g))
        {
            return; // PUSH [RSP+n], say, with its operand in one group and its slot in another
        }
        int offset = group.FirstOffset;
        for (int n = group.CheckAt; n >= 0; n--)
        {
            if (_liveIn[n] == 0)
            {
                if (n != group.CheckAt)
                {
                    group.CheckAt = n;
                    group.FirstOffset = offset;
                    _earlyChecks.Add(g);
                }
                return;
            }
            int indexStep = 0;
            if (n == 0 || _code[n - 1].FlowControl != FlowControl.Next || IsOfOtherStackGroup(n - 1, group, g) || !TryStepOf(_code[n - 1], group.Base, out int step)
                || (group.Scale != 0 && !TryStepOf(_code[n - 1], group.Index, out indexStep)))
            {
                return;
            }
            offset -= step + indexStep * group.Scale;
        }
    }

    /// <summary>Stack groups share one remembered page: the checks stay in order.</summary>
    private bool IsOfOtherStackGroup(int n, in Group group, int g) => group.IsStack
        && ((_stackGroup[n] >= 0 && _stackGroup[n] != g)
            || (_operandGroup[n] >= 0 && _operandGroup[n] != g && _groups[_operandGroup[n]].IsStack));

    /// <summary>By how much an instruction moves a register; false when it gives it a value that is not known.</summary>
    private static bool TryStepOf(in Instruction i, int register, out int step)
    {
        step = 0;
        if (register == (int)Gpr.Rsp && i.Mnemonic is Mnemonic.Push or Mnemonic.Pop)
        {
            step = i.Mnemonic == Mnemonic.Push ? -8 : 8;
            return i.Mnemonic == Mnemonic.Push || GprNumber(i.GetOpRegister(0)) != (int)Gpr.Rsp;
        }
        if ((RegisterWrites.Of(i) >> register & 1) == 0)
        {
            return i.Mnemonic != Mnemonic.Pop || GprNumber(i.GetOpRegister(0)) != register;
        }
        step = ConstantStep(i, out int stepped);
        return stepped == register;
    }

    private void EmitEarlyChecks(int n, in Instruction i)
    {
        foreach (int g in _earlyChecks)
        {
            if (_groups[g].CheckAt == n && !_groups[g].Emitted)
            {
                FlushStack();
                EmitFirstCheck(i, g, false);
            }
        }
    }

    private void EmitFirstCheck(in Instruction i, int g, bool flagsLive)
    {
        ref Group group = ref _groups[g];
        group.Emitted = true;
        _temp0Group = None;
        if (group.IsStack)
        {
            EmitStackCheck(i, group, flagsLive);
            _temp1Group = None;
        }
        else
        {
            EmitGroupCheck(i, group, flagsLive);
            _temp1Group = g;
        }
    }

    /// <summary>While groups are planned: conditional branches so far, and the number of the instruction.</summary>
    private int _branches, _planned;

    /// <summary>Nothing to share: an ordinary check does it.</summary>
    private static bool IsAlone(in Group group) => !group.IsStack && group.Slot == None;

    private void PlanInstruction(int n, in Instruction i)
    {
        Rule rule = InstructionClass.RuleOf(i);
        if (rule is Rule.Slow or Rule.Undefined || (rule == Rule.Special && IsSlowForm(i)))
        {
            return;
        }
        if (IsGroupable(i))
        {
            bool indexed = i.MemoryIndex != Register.None;
            _operandGroup[n] = Join(BaseNumber(i), indexed ? GprNumber(i.MemoryIndex) : 0, indexed ? i.MemoryIndexScale : 0,
                (int)i.MemoryDisplacement64, OperandBytes(i), rule == Rule.Generic && InstructionClass.WritesMemory(i), out _operandLow[n]);
        }
        PlanStack(n, i);
        Track(i);
        _branches += i.FlowControl == FlowControl.ConditionalBranch ? 1 : 0;
    }

    private static bool IsGroupable(in Instruction i) =>
        MemoryOperand(i) >= 0 && (i.MemoryBase.IsGPR64() || i.MemoryBase == Register.RIP)
        && (i.MemoryIndex == Register.None || i.MemoryIndex.IsGPR64())
        && i.MemorySegment is not (Register.FS or Register.GS) && OperandBytes(i) is > 0 and <= 64
        && (int)i.MemoryDisplacement64 == (long)i.MemoryDisplacement64
        && i.Mnemonic is not (Mnemonic.Lea or Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
            or Mnemonic.Xlatb or Mnemonic.Nop)
        && !InstructionClass.IsSegmentMove(i)
        && InstructionClass.RuleOf(i) != Rule.Nop && !MaskedOperands.IsPartial(i);

    private void PlanStack(int n, in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Push or Mnemonic.Call:
                _stackGroup[n] = Join((int)Gpr.Rsp, 0, 0, -8, 8, true, out _);
                break;
            case Mnemonic.Pop or Mnemonic.Ret:
                _stackGroup[n] = Join((int)Gpr.Rsp, 0, 0, 0, 8, false, out _);
                break;
        }
    }

    /// <summary>Follows what the instruction does to registers: adds a constant, or makes a new value.</summary>
    private void Track(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Push or Mnemonic.Call:
                _offset[(int)Gpr.Rsp] -= 8;
                return;
            case Mnemonic.Pop or Mnemonic.Ret:
                _offset[(int)Gpr.Rsp] += 8;
                if (i.Mnemonic == Mnemonic.Pop)
                {
                    Renew(GprNumber(i.GetOpRegister(0)));
                }
                return;
        }
        int constant = ConstantStep(i, out int register);
        int written = RegisterWrites.Of(i);
        for (int g = 0; g < 16; g++)
        {
            if ((written >> g & 1) == 0)
            {
                continue;
            }
            if (g == register && Math.Abs((long)_offset[g] + constant) < 1 << 20)
            {
                _offset[g] += constant;
            }
            else
            {
                Renew(g);
            }
        }
    }

    private void Renew(int register)
    {
        _version[register]++;
        _offset[register] = 0;
    }

    private static int ConstantStep(in Instruction i, out int register)
    {
        register = None;
        if (i.OpCount == 0 || i.GetOpKind(0) != OpKind.Register || !i.GetOpRegister(0).IsGPR64())
        {
            return 0;
        }
        int target = GprNumber(i.GetOpRegister(0));
        switch (i.Mnemonic)
        {
            case Mnemonic.Add or Mnemonic.Sub when i.GetOpKind(1) is not (OpKind.Register or OpKind.Memory):
                register = target;
                int value = (int)i.GetImmediate(1);
                return i.Mnemonic == Mnemonic.Add ? value : -value;
            case Mnemonic.Inc or Mnemonic.Dec:
                register = target;
                return i.Mnemonic == Mnemonic.Inc ? 1 : -1;
            case Mnemonic.Lea when i.MemoryBase == i.GetOpRegister(0) && i.MemoryIndex == Register.None:
                register = target;
                return (int)i.MemoryDisplacement64;
            default:
                return 0;
        }
    }

    /// <summary>
    /// Puts an access into the open group of its registers and kind, or opens a new one. <paramref name="operandLow"/>: its first byte, in
    /// bytes from the registers' value when their versions began. <paramref name="scale"/>: 0 without an index.
    /// </summary>
    private int Join(int register, int index, int scale, int displacement, int size, bool write, out int operandLow)
    {
        bool stack = register == (int)Gpr.Rsp && scale == 0;
        int offset = _offset[register] + _offset[index] * scale;
        long low = (long)offset + displacement;
        operandLow = (int)low;
        var key = new Address(register, _version[register], index, scale != 0 ? _version[index] : 0, scale, false);
        Address writeKey = stack ? key : key with { Write = true };
        bool found = _open.TryGetValue(writeKey, out int known) || (!write && _open.TryGetValue(key, out known));
        if (!found && write && _open.TryGetValue(key, out known) && _groups[known].Branches == _branches)
        {
            // The write follows its reads on a straight line, so it is sure to come: one check for writing serves all.
            found = true;
        }
        if (found)
        {
            ref Group group = ref _groups[known];
            long newLow = Math.Min(group.Low, low), newHigh = Math.Max(group.High, low + size);
            if (newHigh - newLow <= MaxSpan)
            {
                group.Low = (int)newLow;
                group.High = (int)newHigh;
                group.Count++;
                if (write && !stack && !group.Write)
                {
                    group.Write = true;
                    _open.Remove(key);
                    _open[writeKey] = known;
                }
                return known;
            }
        }
        if (_groupCount == _groups.Length || low != (int)low)
        {
            return None;
        }
        _groups[_groupCount] = new Group
        {
            Base = register, Index = index, Scale = scale, Write = write, Low = (int)low, High = (int)low + size, FirstOffset = offset, Count = 1,
            Branches = _branches, CheckAt = _planned,
        };
        _open[write ? writeKey : key] = _groupCount;
        return _groupCount++;
    }

    /// <summary>
    /// Host operand of an access in a group; emits the group's check when this is its first access. TEMP1 then holds the group's host
    /// address, for the stack the difference between host and guest addresses; or TEMP0 does, when that may be and TEMP1 holds another's.
    /// </summary>
    private Mem EmitGrouped(in Instruction i, int g, int displacement, bool flagsLive, bool mayUseTemp0 = false)
    {
        ref Group group = ref _groups[g];
        bool stack = group.IsStack;
        if (!group.Emitted)
        {
            EmitFirstCheck(i, g, flagsLive);
        }
        if (mayUseTemp0 && !stack && _temp1Group != g && (_temp0Group == g || _temp1Group != None))
        {
            if (_temp0Group != g)
            {
                _w.Load64(Temp0, Mem.Area(group.Slot));
                _temp0Group = g;
            }
            return Mem.At(Temp0, _operandLow[_now] - group.Low);
        }
        if (_temp1Group != g)
        {
            _w.Load64(Temp1, Mem.Area(stack ? VcpuArea.StackDeltaOf(_kernel) : group.Slot));
            _temp1Group = g;
        }
        return stack ? new Mem(GuestRsp, Temp1, 1, displacement + _pendingStack) : Mem.At(Temp1, _operandLow[_now] - group.Low);
    }

    /// <summary>TEMP0 = a base register + an index (when scale is not 0) + an offset; uses TEMP1 then. Touches no flag.</summary>
    private void EmitBasePlus(int @base, int index, int scale, int offset)
    {
        if (@base == RipBase)
        {
            EmitGuestAddress(Temp0, offset);
            return;
        }
        int start = AddressRegister(Register.RAX + @base, Temp0);
        _w.Lea64(Temp0, scale == 0 ? Mem.At(start, offset) : new Mem(start, AddressRegister(Register.RAX + index, Temp1), scale, offset));
    }

    private void EmitLowAddress(in Group group)
    {
        EmitBasePlus(group.Base, group.Index, group.Scale, group.Low - group.FirstOffset);
    }

    private void EmitGroupCheck(in Instruction i, in Group group, bool flagsLive)
    {
        int start = _w.Length;
        EmitLowAddress(group);
        Site site = SiteOf(i, SiteKind.Group, group.High - group.Low);
        site.Write = group.Write;
        site.Register = (byte)group.Base;
        site.Index = (byte)group.Index;
        site.Scale = (byte)group.Scale;
        site.Value = group.Low - group.FirstOffset;
        EmitCheck(ref site, start, flagsLive, wantPointer: true, out _);
        _w.Store64(Mem.Area(group.Slot), Temp1);
    }

    /// <summary>Is the range in the page that the vCPU block names as the stack's? If not, a routine looks it up.</summary>
    private void EmitStackCheck(in Instruction i, in Group group, bool flagsLive)
    {
        int span = group.High - group.Low, start = _w.Length;
        Mem tag = Mem.Area(VcpuArea.StackTagOf(_kernel));
        Site site = SiteOf(i, SiteKind.StackGroup, span);
        site.Resume = (ushort)start;
        bool losesFlags = flagsLive && _mayLoseFlags;
        flagsLive &= !losesFlags;
        site.FlagFree = flagsLive;
        site.Aligned = flagsLive && _long && span == 8;
        site.Register = (byte)group.Base;
        site.Value = group.Low - group.FirstOffset;
        if (!flagsLive)
        {
            EmitLowAddress(group);
            _w.Add64(Temp0, tag);
            _w.CmpImm64(Temp0, PageSize - span);
            _cold.Add(new Cold(ColdKind.StackMiss, _w.Jcc(Condition.Above), AddSite(site), Setter: losesFlags ? _setsFlags : None));
            _flagsAreLost |= losesFlags;
            return;
        }
        _w.Load64(Temp0, tag);
        _w.Lea64(Temp0, new Mem(GuestRsp, Temp0, 1, (int)site.Value)); // offset in the page on a hit
        if (site.Aligned)
        {
            _w.Pext(Temp0, Temp0, Mem.Area(VcpuArea.StackSlotMask));
        }
        else
        {
            _w.Lea64(Temp1, Mem.At(Temp0, span - 1));
            _w.Pext(Temp0, Temp0, Mem.Area(VcpuArea.HighMask));
            _w.Pext(Temp1, Temp1, Mem.Area(VcpuArea.HighMask));
            _w.Lea64(Temp0, new Mem(Temp0, Temp1, 1, 0));
        }
        int hit = _w.Jrcxz();
        _cold.Add(new Cold(ColdKind.StackMiss, _w.Jmp(), AddSite(site)));
        _w.PatchShort(hit);
    }

    /// <summary>Out of line: the routine takes the page from the soft TLB, or else C# has to.</summary>
    private void EmitStackMiss(int index)
    {
        Site site = _sites[index];
        _w.Lea64(Temp0, Mem.At(GuestRsp, (int)site.Value));
        _w.MovImm(Temp1, (ulong)(PageSize - site.Size));
        _external.Add((_w.Call(), (nint)_routines.StackRefill(_kernel, site.Aligned)));
        int again = _w.Jrcxz();
        EmitStub(index);
        _w.PatchShort(again);
        _w.PatchRelative(_w.Jmp(), site.Resume);
    }
}
