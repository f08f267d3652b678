using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using Ryokan.GuestMemory;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Turns guest code of one physical page into host code. Works in three passes over a superblock: decode,
/// flag liveness backwards, emit. One instance per engine, used under the engine's lock; all buffers are its own.
/// </summary>
internal sealed unsafe partial class Translator
{
    public const int MaxInstructions = 48;
    private const int MaxBranches = 4;

    /// <summary>Rounds of a loop in one block, and instructions that they may come to.</summary>
    private const int MaxRounds = 4, MaxUnrolled = 40;
    private const int PageSize = GuestFrames.PageSize;

    private readonly SoftEngineOptions _options;
    private readonly Routines _routines;
    private readonly CodeCache _cache;
    private readonly GuestFrames _frames;
    private readonly CodeBuffer _w = new();
    private readonly EncoderSink _sink;
    private readonly Encoder _encoder;
    private readonly byte[] _bytes = new byte[2 * PageSize];
    private readonly ByteArrayCodeReader _reader;
    private readonly Decoder _decoder64, _decoder32;

    private readonly Instruction[] _code = new Instruction[MaxInstructions];
    private readonly int[] _liveIn = new int[MaxInstructions + 1];

    /// <summary>Conditional branches back to the block's beginning whose taken side the translation follows, into the next round.</summary>
    private readonly bool[] _turned = new bool[MaxInstructions];
    private int _count;

    private readonly Site[] _sites = new Site[SiteWord.MostSites + 1];
    private int _siteCount;
    private readonly List<uint> _map = [];
    private readonly Pool<Site> _keptSites = new();
    private readonly Pool<uint> _keptMaps = new();
    private readonly List<Cold> _cold = [];
    private readonly List<(int Field, nint Target)> _external = [];
    private readonly List<int> _siteWords = [];

    // the block being translated
    private BlockKey _key;
    private ulong _pageVa;
    private int _end;
    private bool _flowsOut;
    private bool _nextCrosses;
    private bool _long;
    private bool _kernel;

    /// <summary>A branch of the block goes back to its beginning.</summary>
    private bool _isLoop;

    /// <summary>State beyond AVX is in host registers.</summary>
    private bool _isAwake;

    /// <summary>Host offset of the poll in front of a loop's first instruction.</summary>
    private int _loopHead;

    /// <summary>Number of the instruction that is being emitted.</summary>
    private int _now;

    /// <summary>Iced's encoder writes straight into the code buffer.</summary>
    private sealed class EncoderSink(CodeBuffer writer) : Iced.Intel.CodeWriter
    {
        public override void WriteByte(byte value) => writer.Byte(value);
    }

    private enum ColdKind
    {
        /// <summary>The stub of a site.</summary>
        Stub,

        /// <summary>The stub of a link site, whose field the jump's is.</summary>
        Link,

        /// <summary>What belongs to a link to another page.</summary>
        FarLink,

        /// <summary>A new page of the stack, then the stub of its site.</summary>
        StackMiss,

        /// <summary>The end of a check that kept flags, in the table at <see cref="Cold.Target"/>, then the stub of its site.</summary>
        FlagFreeMiss,

        /// <summary>The same of a check that lost flags which are to be had again.</summary>
        LostFlagsMiss,

        /// <summary>State beyond AVX is needed and asleep.</summary>
        Wake,

        /// <summary>The wanted address is not this block's.</summary>
        EntryMiss,

        /// <summary>On to the page offset <see cref="Cold.Target"/>.</summary>
        Exit,
    }

    /// <summary>Out-of-line code to emit behind the block: what it is, and the field of the jump to it.</summary>
    /// <param name="Setter">number of the instruction whose flags are to be made again first; <see cref="None"/>: of none</param>
    private readonly record struct Cold(ColdKind Kind, int Field, int Site = -1, int Target = 0, bool Poll = false, bool FlagsLive = false, int Setter = None);

    public Translator(SoftEngineOptions options, Routines routines, CodeCache cache, GuestFrames frames)
    {
        _options = options;
        _routines = routines;
        _cache = cache;
        _frames = frames;
        _sink = new EncoderSink(_w);
        _encoder = Encoder.Create(64, _sink);
        _reader = new ByteArrayCodeReader(_bytes);
        _decoder64 = Decoder.Create(64, _reader, DecoderOptions.ForceReservedNop);
        _decoder32 = Decoder.Create(32, _reader, DecoderOptions.ForceReservedNop);
    }

    /// <summary>
    /// Translates from <paramref name="key"/> on; null when the code cache is full.
    /// <paramref name="pageVa"/>: address of the page for kernel code, else 0;
    /// <paramref name="secondFrame"/>: frame of the next page, or -1 when it is not mapped; <paramref name="withEntry"/>: the jump cache is to
    /// lead here.
    /// </summary>
    public TranslationBlock? Translate(in BlockKey key, ulong pageVa, long secondFrame, int id, bool withEntry)
    {
        _key = key;
        _pageVa = pageVa;
        LoadBytes(key.Frame, secondFrame);
        Translate(withEntry, secondFrame);
        return Finish(secondFrame, id);
    }

    /// <summary>
    /// Translates the block of <c>_key</c> out of <c>_bytes</c> into the translator's buffers. What it makes rests on the bytes in <c>_rests</c>,
    /// the key less its frame, the address of a page of kernel code and the engine's options; on nothing else.
    /// </summary>
    private void Translate(bool withEntry, long secondFrame)
    {
        _kernel = (_key.Mode & BlockMode.Kernel) != 0;
        _long = (_key.Mode & BlockMode.Long) != 0;
        _temp0Group = _temp1Group = None;
        _pendingStack = 0;
        _setsFlags = None;
        _flagsAreLost = _mayLoseFlags = false;
        DecodeBlock(secondFrame >= 0, mayTurnAtBranch: true);
        if (_turnsAtBranch && !IsLoop())
        {
            DecodeBlock(secondFrame >= 0, mayTurnAtBranch: false); // it did not come back here
        }
        _isLoop = IsLoop();
        _isAwake = false;
        ComputeLiveness();
        PlanGroups();
        _w.Reset();
        _siteCount = 0;
        _map.Clear();
        _cold.Clear();
        _external.Clear();
        _siteWords.Clear();
        _entryJump = _entryFrame = 0;
        _hasEntry = withEntry;
        if (withEntry)
        {
            EmitEntry();
        }
        EmitLoopHead();
        _local = _w.Length;
        if (!_kernel && _count == 1 && _code[0].Length + _key.Offset > PageSize)
        {
            EmitSecondPageCheck(secondFrame);
        }
        EmitBody();
        EmitCold();
        (_low, _high) = _rests.Range;
    }

    /// <summary>The block begins with an entry for the jump cache.</summary>
    private bool _hasEntry;

    /// <summary>Host offset behind the entry.</summary>
    private int _local;

    /// <summary>Host offset of the rel8 field behind which user code's entry goes on; 0 in kernel code.</summary>
    private int _entryJump;

    /// <summary>Host offset of the field in user code's entry that holds -4 * frame; 0: none.</summary>
    private int _entryFrame;

    /// <summary>All bytes that the translation rests on lie between; beyond 4096 is the next page.</summary>
    private int _low, _high;

    /// <summary>The bytes that the translation rests on: its own instructions and what the look-ahead for flags saw.</summary>
    private readonly PageBytes _rests = new();

    private void LoadBytes(long frame, long secondFrame)
    {
        new ReadOnlySpan<byte>(_frames.Base + frame * PageSize, PageSize).CopyTo(_bytes);
        if (secondFrame >= 0)
        {
            new ReadOnlySpan<byte>(_frames.Base + secondFrame * PageSize, 16).CopyTo(_bytes.AsSpan(PageSize));
        }
    }

    public bool CrossesPage(long frame, int offset, bool isLong)
    {
        new ReadOnlySpan<byte>(_frames.Base + frame * PageSize + offset, PageSize - offset).CopyTo(_bytes.AsSpan(offset));
        _long = isLong;
        return !TryDecode(offset, out _, out _, PageSize);
    }

    private bool TryDecode(int position, out Instruction instruction, out bool truncated, int available)
    {
        Decoder decoder = _long ? _decoder64 : _decoder32;
        _reader.Position = position;
        decoder.IP = (ulong)position;
        decoder.Decode(out instruction);
        truncated = position + instruction.Length > available
            || (instruction.IsInvalid && position + 15 > available);
        return !truncated;
    }

    /// <summary>Fills _code with the instructions of the superblock, following direct jumps inside the page.</summary>
    /// <param name="hasSecond">the next page is there, behind the first</param>
    /// <param name="mayTurnAtBranch">a conditional branch backwards may be followed, too</param>
    private void DecodeBlock(bool hasSecond, bool mayTurnAtBranch)
    {
        _mayTurnAtBranch = mayTurnAtBranch;
        _turnsAtBranch = false;
        _rests.Clear();
        _count = 0;
        _flowsOut = true;
        _nextCrosses = false;
        _rounds = 1;
        _turnsBack = int.MaxValue;
        int position = _key.Offset, branches = 0;
        int most = (_key.Mode & BlockMode.SingleStep) != 0 ? 1 : MaxInstructions;
        while (_count < most)
        {
            if (position < 0 || position >= PageSize)
            {
                break;
            }
            if (!TryDecode(position, out Instruction instruction, out _, PageSize))
            {
                if (_count > 0)
                {
                    _nextCrosses = true;
                    break;
                }
                // the only instruction: it may use the next page; when that is not mapped the caller
                // has faulted already, so what is here is all there is
                TryDecode(position, out instruction, out _, hasSecond ? PageSize + 16 : PageSize);
                most = 1;
            }
            _turned[_count] = false;
            _code[_count++] = instruction;
            _rests.Add(position, instruction.Length);
            int next = position + instruction.Length;
            if (!Continues(instruction, ref next, ref branches))
            {
                _flowsOut = false;
                break;
            }
            position = next;
        }
        _end = position;
    }

    /// <summary>True when translation goes on behind the instruction, at <paramref name="next"/>.</summary>
    private bool Continues(in Instruction instruction, ref int next, ref int branches)
    {
        switch (InstructionClass.RuleOf(instruction))
        {
            case Rule.Generic or Rule.Nop:
                return !IsDenied(instruction);
            case Rule.Slow or Rule.Undefined:
                return false;
        }
        if (StartsRound(instruction))
        {
            _turned[_count - 1] = instruction.FlowControl == FlowControl.ConditionalBranch;
            _rounds++;
            branches = 0;
            next = _key.Offset;
            return true;
        }
        switch (instruction.FlowControl)
        {
            case FlowControl.ConditionalBranch:
                if (!_options.Superblocks || ++branches >= MaxBranches || Is16BitBranch(instruction))
                {
                    return false;
                }
                if (_mayTurnAtBranch && instruction.IsJccShortOrNear && Target(instruction) < next - instruction.Length
                    && MayTurnBack(Target(instruction)))
                {
                    _turned[_count - 1] = _turnsAtBranch = true;
                    _turnsBack = _count;
                    next = (int)Target(instruction);
                }
                return true;
            case FlowControl.UnconditionalBranch when _options.Superblocks && IsNear(instruction):
                long target = Target(instruction);
                if (++branches >= MaxBranches || !IsInPage(target))
                {
                    return false;
                }
                if (target <= next - instruction.Length)
                {
                    if (!MayTurnBack(target))
                    {
                        return false;
                    }
                    _turnsBack = _count;
                }
                next = (int)target;
                return true;
            case FlowControl.Next:
                return !EndsBlock(instruction);
            default:
                return false;
        }
    }

    private int _rounds;

    /// <summary>
    /// First instruction behind a backward jump that translation followed: the way out of the block looks for a kick in its stead. One in a
    /// block, so that what loops come back to is copied at most once into each way back.
    /// </summary>
    private int _turnsBack;

    private bool OwesPoll => _now >= _turnsBack;

    /// <summary>
    /// The branch at the end of a loop whose beginning is elsewhere was followed. That pays when the way from there leads back to this block,
    /// which then is the loop, beginning somewhere in its middle; else it would be a copy of the beginning for nothing.
    /// </summary>
    private bool _turnsAtBranch;
    private bool _mayTurnAtBranch;

    private bool MayTurnBack(long target) => _turnsBack == int.MaxValue && IsInPage(target) && !IsDecoded((int)target);

    private bool IsDecoded(int position)
    {
        for (int n = 0; n < _count; n++)
        {
            if (Position(n) == position)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>
    /// A branch back to the block's beginning behind which another round of the loop is put: what the rounds access through one register
    /// then has one check, and a kick is looked for once for all of them.
    /// </summary>
    private bool StartsRound(in Instruction i) => _options.Unrolling && _options.Superblocks
        && (_key.Mode & (BlockMode.Ungrouped | BlockMode.SingleStep)) == 0
        && (i.IsJccShortOrNear || i.IsJmpShortOrNear) && IsNear(i) && Target(i) == _key.Offset
        && _turnsBack == int.MaxValue && _rounds < MaxRounds && _count + _count / _rounds <= MaxUnrolled;

    private static bool Is16BitBranch(in Instruction i) => i.GetOpKind(0) == OpKind.NearBranch16;

    private static bool IsNear(in Instruction i) => i.GetOpKind(0) is OpKind.NearBranch32 or OpKind.NearBranch64;

    /// <summary>Page offset of a direct branch's target (signed, may be outside the page).</summary>
    private long Target(in Instruction i) => _long ? (long)i.NearBranchTarget : (int)i.NearBranchTarget;

    /// <summary>Special rules that hand over to C# on some forms end the block there.</summary>
    private bool EndsBlock(in Instruction i) => IsSlowForm(i);

    // ---- emission ------------------------------------------------------------------------------------

    /// <summary>
    /// Where the jump cache leads to, with the wanted address in TEMP0: goes on only when this block is at that address, and sets the page
    /// base of position-independent code. User code looks whether the address's page is its frame now, so its entries in the jump cache
    /// outlive switches of address spaces. Touches no flag.
    /// </summary>
    private void EmitEntry()
    {
        ulong minus = 0 - (_pageVa + (ulong)_key.Offset);
        int there;
        if (_kernel && (long)minus == (int)minus)
        {
            _w.Lea64(Temp0, Mem.At(Temp0, (int)minus));
            there = _w.Jrcxz();
            _w.MovImm(Temp1, minus);
        }
        else if (_kernel)
        {
            _w.MovImm(Temp1, minus);
            _w.Lea64(Temp0, new Mem(Temp0, Temp1, 1, 0));
            there = _w.Jrcxz();
        }
        else
        {
            _w.Lea64(Temp0, Mem.At(Temp0, -_key.Offset));
            _w.Store64(Mem.Area(VcpuArea.CodeBase), Temp0); // for nothing when the check fails: C# sets it then
            _w.Pext32(Temp1, Temp0, Mem.Area(VcpuArea.CodePageMask));
            _w.Load64(Temp1, Mem.Area(VcpuArea.CodePages, Temp1, 8));
            _w.Lea64(Temp0, new Mem(Temp0, Temp1, 1, int.MinValue));
            _entryFrame = _w.Length - 4;
            there = _entryJump = _w.Jrcxz();
        }
        if (_kernel)
        {
            _external.Add((_w.Jmp(), (nint)_routines.JumpMiss(true)));
        }
        else
        {
            _cold.Add(new Cold(ColdKind.EntryMiss, _w.Jmp()));
        }
        _w.PatchShort(there);
    }

    /// <summary>The instruction goes on in the next page, which another program may have elsewhere behind the same first one. Touches no flag.</summary>
    private void EmitSecondPageCheck(long frame)
    {
        _w.Load64(Temp0, Mem.Area(VcpuArea.CodeBase));
        _w.Lea64(Temp0, Mem.At(Temp0, PageSize));
        _w.Pext32(Temp1, Temp0, Mem.Area(VcpuArea.CodePageMask));
        _w.Load64(Temp1, Mem.Area(VcpuArea.CodePages, Temp1, 8));
        _w.Lea64(Temp0, new Mem(Temp0, Temp1, 1, -4 * (int)frame));
        int there = _w.Jrcxz();
        _cold.Add(new Cold(ColdKind.EntryMiss, _w.Jmp()));
        _w.PatchShort(there);
    }

    private bool IsLoop()
    {
        if ((_key.Mode & (BlockMode.SingleStep | BlockMode.Ungrouped)) != 0)
        {
            return false; // the next round may be checked by groups again
        }
        for (int n = 0; n < _count; n++)
        {
            ref readonly Instruction i = ref _code[n];
            if (i.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch && IsNear(i) && Target(i) == _key.Offset)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Where a loop comes back to: the poll, once a round.</summary>
    private void EmitLoopHead()
    {
        _loopHead = _w.Length;
        if (_isLoop)
        {
            EmitPoll(_key.Offset, _liveIn[0] != 0);
        }
    }

    private void EmitBody()
    {
        for (int n = 0; n < _count; n++)
        {
            ref readonly Instruction i = ref _code[n];
            _map.Add((uint)_w.Length << 16 | (uint)Position(n));
            if (_w.Length > CodeBuffer.Limit || _siteCount > SiteWord.MostSites - 16)
            {
                RestoreFlags();
                FlushStack();
                EmitDirectExit(Position(n), Position(n), true);
                return;
            }
            _now = n;
            EmitEarlyChecks(n, i);
            if (!KeepsStackPending(n, i))
            {
                FlushStack();
            }
            PrepareFlags(n, i);
            EmitInstruction(n, i);
            NoteFlags(n, i);
        }
        if (_liveIn[_count] != 0)
        {
            RestoreFlags();
        }
        FlushStack();
        if ((_key.Mode & BlockMode.SingleStep) != 0 && _flowsOut)
        {
            EmitExit(new Site { Kind = SiteKind.SingleStep, Guest = Position(_count - 1), Next = _end });
        }
        else if (_flowsOut)
        {
            EmitDirectExit(_end, _count > 0 ? Position(_count - 1) : _key.Offset, _liveIn[_count] != 0, _nextCrosses);
        }
    }

    private int Position(int n) => (int)_code[n].IP;

    /// <summary>
    /// Once in a block: state beyond AVX is brought into host registers, which C# code uses as it likes while the guest has nothing there.
    /// It stays until translated code is entered at a block's beginning again. Uses TEMP0; touches no flag.
    /// </summary>
    private void EmitWake()
    {
        _w.MovZeroExtend16(Temp0, Mem.Area(VcpuArea.Sleeping));
        int awake = _w.Jrcxz();
        _cold.Add(new Cold(ColdKind.Wake, _w.Jmp()));
        _w.PatchShort(awake);
        _temp0Group = None;
        _isAwake = true;
    }

    private void EmitInstruction(int n, in Instruction i)
    {
        if (!_isAwake && FloatingPoint.UsesBeyondAvx(i) && InstructionClass.RuleOf(i) is Rule.Generic or Rule.Special)
        {
            EmitWake();
        }
        int keep = _temp1Group, keep0 = _temp0Group;
        _temp0Group = _temp1Group = None;
        switch (InstructionClass.RuleOf(i))
        {
            case Rule.Nop:
                (_temp0Group, _temp1Group) = (keep0, keep);
                break;
            case Rule.Slow:
                EmitSlow(i);
                break;
            case Rule.Undefined:
                EmitExit(new Site { Kind = SiteKind.Undefined, Guest = (int)i.IP, Length = (byte)i.Length });
                break;
            case Rule.Generic:
                if (IsDenied(i))
                {
                    EmitSlow(i);
                }
                else
                {
                    EmitGeneric(i, _liveIn[n] != 0, keep0, keep);
                }
                break;
            default:
                _temp0Group = i.IsJccShortOrNear ? keep0 : None;
                _temp1Group = LeavesTemp1(i) ? keep : None;
                EmitSpecial(n, i);
                break;
        }
    }

    /// <summary>Special rules that say by themselves when they use TEMP1 for something else.</summary>
    private bool LeavesTemp1(in Instruction i) => _long && (i.FlowControl == FlowControl.ConditionalBranch
        || i.Mnemonic is Mnemonic.Push or Mnemonic.Pop or Mnemonic.Call or Mnemonic.Ret);

    /// <summary>Floating point while CR0.TS is set: C# raises #NM.</summary>
    private bool IsDenied(in Instruction i) => (_key.Mode & BlockMode.TaskSwitched) != 0 && FloatingPoint.Uses(i);

    private void EmitSlow(in Instruction i) => EmitExit(new Site
    {
        Kind = SiteKind.Slow, Guest = (int)i.IP, Length = (byte)i.Length, Next = (int)i.IP + i.Length, Value = (int)i.Code,
    });

    /// <summary>Leaves translated code here, for good.</summary>
    private void EmitExit(Site site)
    {
        int index = AddSite(site);
        EmitStub(index);
        SetAfter(index);
    }

    private int AddSite(in Site site)
    {
        _sites[_siteCount] = site;
        return _siteCount++;
    }

    private void SetAfter(int index) => _sites[index].After = (ushort)_w.Length;

    /// <summary>A stub: the site's word on the stack, and a jump whose field can be patched while other vCPUs run it.</summary>
    private void EmitStub(int site) => EmitStub(site, _routines.Exit, isCall: false);

    /// <summary>Place in a stub of the rel32 field of its jump or call.</summary>
    public const int StubField = 6;

    private void EmitStub(int site, byte* routine, bool isCall)
    {
        _w.Align(StubField);
        _sites[site].Stub = _w.Length;
        _siteWords.Add(EmitWordFor(routine, site, isCall));
    }

    /// <summary>Puts a word on the stack and goes to a routine; returns the place of the word.</summary>
    private int EmitWordFor(byte* routine, int word, bool isCall)
    {
        int at = _w.PushImm32(word);
        _external.Add((isCall ? _w.Call() : _w.Jmp(), (nint)routine));
        return at;
    }

    /// <summary>The stub of a check: a routine may fill the soft TLB's entry and come back.</summary>
    private void EmitMissStub(int index)
    {
        ref Site site = ref _sites[index];
        if (!CanFill(site))
        {
            EmitStub(index);
            return;
        }
        EmitStub(index, _routines.Fill(_kernel, site.Write, site.FlagFree), isCall: true);
        _w.PatchRelative(_w.Jmp(), site.Resume);
    }

    private bool CanFill(in Site site) =>
        _options.InlineFills && site.Kind is (SiteKind.Access or SiteKind.Load or SiteKind.Store or SiteKind.Group);

    /// <summary>Puts what is in the buffers into the code cache, for the frame of <c>_key</c>; null when that is full.</summary>
    private TranslationBlock? Finish(long secondFrame, int id)
    {
        int length = _w.Length;
        byte* code = _cache.TryAllocate(length);
        if (code == null)
        {
            return null;
        }
        foreach (int at in _siteWords)
        {
            _w.PatchInt32(at, SiteWord.Of(id, _w.ReadInt32(at)));
        }
        PatchEntryFrame();
        foreach ((int field, nint target) in _external)
        {
            long delta = target - ((nint)code + field + 4);
            Debug.Require(delta == (int)delta, "code cache larger than 2 GiB");
            _w.PatchInt32(field, (int)delta);
        }
        _w.Bytes.CopyTo(new Span<byte>(code, length));
        return new TranslationBlock
        {
            Id = id, Key = _key, PageVa = _pageVa, Code = code, Local = code + _local, CodeBytes = length,
            Entry = _hasEntry ? code : null, EntryJump = _entryJump,
            KeptSites = _keptSites.Keep(_sites.AsSpan(0, _siteCount)), Instructions = _keptMaps.Keep(CollectionsMarshal.AsSpan(_map)),
            Low = _low, High = _high, SecondFrame = _high > PageSize ? secondFrame : -1,
        };
    }

    private void PatchEntryFrame()
    {
        if (_entryFrame != 0)
        {
            _w.PatchInt32(_entryFrame, -4 * (int)_key.Frame);
        }
    }
}
