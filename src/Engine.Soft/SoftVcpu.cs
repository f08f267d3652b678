using System;
using System.Runtime.InteropServices;
using System.Threading;
using Iced.Intel;
using Ryokan.Engine.Soft.Diagnostics;
using Ryokan.Engine.Soft.Emit;
using Ryokan.Engine.Soft.Memory;
using Ryokan.Engine.Soft.Slow;
using Ryokan.Engine.Soft.Translate;
using Ryokan.GuestMemory;
using Ryokan.Linux.Interop;
using Ryokan.X86;

namespace Ryokan.Engine.Soft;

/// <summary>
/// One vCPU of the software engine: enters translated code, and handles what makes it leave. Owns the vCPU
/// block (<see cref="VcpuArea"/>) and the stack below it.
/// </summary>
internal sealed unsafe partial class SoftVcpu : IVcpu, IDisposable
{
    [ThreadStatic]
    private static SoftVcpu? _current;

    private readonly SoftEngine _engine;
    private readonly HugeMapping _mapping;
    private readonly byte* _area;
    private readonly VcpuArea.Head* _head;
    private readonly delegate* unmanaged<byte*, byte*, void> _enter;
    private int _requests;
    private bool _hasX87;

    public int Id { get; }
    internal IVcpuHost Host { get; }
    internal SoftEngine Engine => _engine;
    internal ExitCounters Counters { get; } = new();

    /// <summary>For instructions that C# carries out, on the vCPU's own thread.</summary>
    internal InstructionDecoder Decoder { get; } = new();

    /// <summary>The vCPU whose Run is on this thread's stack or was last; null on other threads.</summary>
    internal static SoftVcpu? Current => _current;

    public ref VcpuRegisters Registers => ref _head->Registers;

    public SoftVcpu(SoftEngine engine, int id, IVcpuHost host)
    {
        _engine = engine;
        Id = id;
        Host = host;
        _tables = new LastTables(engine.Walker);
        _returnWalker = new ReturnWalker(engine.Frames, _tables);
        _enter = (delegate* unmanaged<byte*, byte*, void>)engine.Routines.Enter;
        _mapping = new HugeMapping($"vCPU {id}", VcpuArea.StackBytes + VcpuArea.Bytes, Libc.ProtRead | Libc.ProtWrite);
        _area = _mapping.Start + VcpuArea.StackBytes;
        _head = (VcpuArea.Head*)(_area + VcpuArea.HeadStart);
        _head->JumpMaskNow_ = VcpuArea.JumpMask;
        _head->Mask63_ = 63;
        _head->Mask31_ = 31;
        _head->Mask15_ = 15;
        _head->HighMask_ = ~0xfffUL;
        _head->StackSlotMask_ = ~0xff8UL;
        _head->TlbMask_ = VcpuArea.TlbMaskBits;
        _head->CodePageMask_ = (VcpuArea.CodePageEntries - 1) << 12;
        new Span<ulong>(CodePages, VcpuArea.CodePageEntries).Fill(VcpuArea.EmptyCodePage);
        *(ulong*)(_area + VcpuArea.PageOffsetMask) = 0xfff;
        *(ulong*)(_area + VcpuArea.Jump2MaskSlot) = VcpuArea.Jump2Mask;
        *(ulong*)(_area + VcpuArea.NoFrameMaskSlot) = VcpuArea.NoFrameMask;
        *(ulong*)(_area + VcpuArea.KernelJumps2) = *(ulong*)(_area + VcpuArea.UserJumps2) = VcpuArea.EmptyJump; // address 0
        *(ulong*)(_area + VcpuArea.HoleEnd) = engine.Hole.End;
        *(ulong*)(_area + VcpuArea.RamFrames) = engine.Frames.RamFrames;
        *(byte**)(_area + VcpuArea.FramesBase) = engine.Frames.Base;
        *(byte**)(_area + VcpuArea.FrameFlagBytes) = engine.Frames.Flags;
        _head->GuestMxcsr_ = MxcsrReset;
        _head->Sleeping_ = 1;
        _head->Registers.LongCode = 1;
        _head->Registers.Xcr0 = HostState.Xcr0;
        *(ushort*)(_area + VcpuArea.Xsave) = ControlWordReset;
        *(uint*)(_area + VcpuArea.Xsave + MxcsrAt) = MxcsrReset;
        foreach (int table in (ReadOnlySpan<int>)[VcpuArea.KernelRead, VcpuArea.KernelWrite, VcpuArea.UserRead, VcpuArea.UserWrite])
        {
            _tlb[VcpuArea.TlbNumber(table)] = new TlbTable(_area, table);
        }
        ForgetStacks();
        EmptyAllJumps(kernel: true);
        EmptyAllJumps(kernel: false);
    }

    public void Dispose() => _mapping.Dispose();

    // ---- requests from other threads -----------------------------------------------------------------

    public void Kick() => Request(VcpuRequest.Exit);

    internal void RequestFromOther(VcpuRequest request) => Request(request);

    private void Request(VcpuRequest request)
    {
        Interlocked.Or(ref _requests, (int)request);
        Volatile.Write(ref _head->Kick, 1);
        Volatile.Write(ref _head->JumpMaskNow_, 0);
        Interlocked.MemoryBarrier();
    }

    /// <summary>Returns when the vCPU is outside translated code or has taken up its requests.</summary>
    internal void WaitOutside()
    {
        var spin = new SpinWait();
        while (Volatile.Read(ref _head->InGuest) != 0 && Volatile.Read(ref _requests) != 0)
        {
            spin.SpinOnce(-1);
        }
    }

    /// <summary>Does what others asked for; true when the monitor wants the vCPU.</summary>
    private bool TakeRequests()
    {
        _head->JumpMaskNow_ = VcpuArea.JumpMask;
        _head->Kick = 0;
        var requests = (VcpuRequest)Interlocked.Exchange(ref _requests, 0);
        if ((requests & VcpuRequest.FlushAll) != 0)
        {
            FlushTlb();
        }
        else if ((requests & VcpuRequest.FlushWrites) != 0)
        {
            TlbOf(VcpuArea.KernelWrite).Clear();
            TlbOf(VcpuArea.UserWrite).Clear();
            ForgetStacks();
        }
        if ((requests & VcpuRequest.FlushJumps) != 0)
        {
            ForgetJumps();
        }
        return (requests & VcpuRequest.Exit) != 0;
    }

    // ---- running -------------------------------------------------------------------------------------

    /// <summary>Host address to go on at, valid in one code-cache generation; null: find it by rip.</summary>
    private byte* _resume;
    private int _resumeGeneration;

    public void Run(out VcpuExit exit)
    {
        _current = this;
        if (!_hasX87)
        {
            ((delegate* unmanaged<byte*, void>)_engine.Routines.LoadX87)(_area);
            _hasX87 = true;
        }
        exit = default;
        _resume = null;
        for (;;)
        {
            if (_head->Kick != 0)
            {
                // A check that was made earlier in a block may not hold any more: go on by rip.
                _resume = null;
                Counters.Kicks++;
                if (TakeRequests())
                {
                    exit.Kind = ExitKind.Kicked;
                    return;
                }
            }
            byte* code = _resume != null && _resumeGeneration == _engine.Generation ? _resume : null;
            _resume = null;
            if (code == null && (code = Resolve(out exit)) == null)
            {
                return;
            }
            TranslationBlock? block = Enter(code, out uint word);
            if (word == NotEntered)
            {
                continue; // a request came up before the guest was entered
            }
            if (HandleExit(block, word, ref exit))
            {
                return;
            }
        }
    }

    private const uint NotEntered = uint.MaxValue - 16;

    /// <summary>Runs translated code; returns the word of the site where it left, and its block.</summary>
    private TranslationBlock? Enter(byte* code, out uint word)
    {
        if (_engine.IsShared)
        {
            Interlocked.Exchange(ref _head->InGuest, 1);
            if (Volatile.Read(ref _head->Kick) != 0)
            {
                Volatile.Write(ref _head->InGuest, 0);
                word = NotEntered;
                return null;
            }
        }
        _enter(_area, code);
        word = _head->ExitWord_;
        TranslationBlock? block = word < Routines.StepMark ? _engine.BlockById(SiteWord.BlockOf((int)word)) : null;
        _resumeGeneration = _engine.Generation;
        Volatile.Write(ref _head->InGuest, 0);
        return block;
    }

    /// <summary>True when the monitor must act on <paramref name="exit"/>.</summary>
    private bool HandleExit(TranslationBlock? block, uint word, ref VcpuExit exit)
    {
        switch (word)
        {
            case Routines.JumpMissMark:
                Counters.JumpMisses++;
                return HandleJumpMiss(ref exit);
            case Routines.FaultMark:
                Counters.HostFaults++;
                HandleHostFault(out exit);
                return true;
        }
        int index = SiteWord.SiteOf((int)word);
        ref Site site = ref block!.Sites[index];
        ulong page = block.PageVa != 0 ? block.PageVa : _head->CodeBase_;
        Counters.Count(site.Kind);
        switch (site.Kind)
        {
            case SiteKind.Access:
            case SiteKind.Load:
            case SiteKind.Store:
                return HandleMiss(block, index, page, ref exit);
            case SiteKind.Group:
            case SiteKind.StackGroup:
                return HandleGroup(block, index, page, ref exit);
            case SiteKind.Link:
                _head->Registers.Rip = Wrap(page, site.Next);
                if (IsStepping)
                {
                    exit = VcpuExit.Fault(ExceptionVector.Debug);
                    return true;
                }
                return HandleLink(block, index, ref exit);
            case SiteKind.FarLink:
                _head->Registers.Rip = _head->CodeBase_ + (uint)(site.Next & 0xfff); // the page's base is the target's already
                return HandleLink(block, index, ref exit);
            case SiteKind.Poll:
                _head->Registers.Rip = Wrap(page, site.Next);
                return false;
            case SiteKind.SingleStep:
                _head->Registers.Rip = Wrap(page, site.Next);
                exit = VcpuExit.Fault(ExceptionVector.Debug);
                return true;
            case SiteKind.Syscall:
                TakeSyscall(Wrap(page, site.Next), ref exit);
                return true;
            case SiteKind.Undefined:
                _head->Registers.Rip = Wrap(page, site.Guest);
                exit = VcpuExit.Fault(ExceptionVector.InvalidOpcode);
                return true;
            default:
                _head->Registers.Rip = Wrap(page, site.Guest);
                Counters.CountSlow((Code)site.Value);
                bool leaves = SlowInstructions.Execute(this, (Code)site.Value, ref exit);
                if (!leaves && IsStepping)
                {
                    exit = VcpuExit.Fault(ExceptionVector.Debug);
                    return true;
                }
                return leaves;
        }
    }

    private bool IsStepping => (_head->Registers.Rflags & (ulong)Rflags.TF) != 0;

    /// <summary>Guest address of a page offset: 32-bit code wraps at 4 GiB.</summary>
    private ulong Wrap(ulong page, int offset)
    {
        ulong va = page + (ulong)(long)offset;
        return _head->Registers.LongCode != 0 ? va : (uint)va;
    }

    private void TakeSyscall(ulong next, ref VcpuExit exit)
    {
        ref VcpuRegisters r = ref _head->Registers;
        r.Rip = next;
        r[Gpr.Rcx] = next;
        r[Gpr.R11] = r.Rflags | (ulong)(Rflags.IF | Rflags.Reserved1);
        exit = new VcpuExit { Kind = r.KernelMode != 0 ? ExitKind.Hypercall : ExitKind.Syscall, Length = 2 };
    }

    private bool HandleJumpMiss(ref VcpuExit exit)
    {
        _head->Registers.Rip = _head->Temp0 - _head->Temp1;
        _missedJump = true;
        if (_head->Registers.LongCode == 0)
        {
            _head->Registers.Rip = (uint)_head->Registers.Rip;
        }
        if (_head->Kick == 0)
        {
            _head->JumpMaskNow_ = VcpuArea.JumpMask; // a late kicker may have left it at zero
        }
        if (IsStepping)
        {
            exit = VcpuExit.Fault(ExceptionVector.Debug);
            return true;
        }
        return false;
    }

    private bool HandleLink(TranslationBlock from, int site, ref VcpuExit exit)
    {
        TranslationBlock? to = FindBlock(_head->Registers.Rip, BlockMode.None, byCache: false, out exit);
        if (to == null)
        {
            return true;
        }
        if (_engine.Options.Chaining)
        {
            _engine.Link(this, from, site, to);
        }
        Continue(to.Local);
        return false;
    }

    private void Continue(byte* code)
    {
        _resume = code;
        _resumeGeneration = _engine.Generation;
    }

    /// <summary>
    /// The range of a group is not where one check can vouch for it: fill the soft TLB and try again, or, when that is
    /// no help (two pages, a page with code, not writable), go on in the variant that checks each access.
    /// </summary>
    private bool HandleGroup(TranslationBlock block, int index, ulong page, ref VcpuExit exit)
    {
        ref Site site = ref block.Sites[index];
        bool kernel = _head->Registers.KernelMode != 0;
        _head->Registers.Rip = Wrap(page, site.Guest);
        bool stack = site.Kind == SiteKind.StackGroup;
        ulong start = site.Register == Translator.RipBase ? page : _head->Registers.Gpr[site.Register];
        ulong va = start + _head->Registers.Gpr[site.Index] * site.Scale + (ulong)site.Value;
        bool crosses = (va & 4095) + site.Size > GuestFrames.PageSize;
        bool misaligned = site.Aligned && va % 8 != 0;
        if (!crosses && !misaligned && FillTlb(va, stack || site.Write, kernel, out exit) == MissResult.Filled)
        {
            _resume = block.Code + site.Resume;
            return false;
        }
        Counters.Ungrouped++;
        TranslationBlock? ungrouped = FindBlock(_head->Registers.Rip, BlockMode.Ungrouped, byCache: false, out exit);
        if (ungrouped == null)
        {
            return true;
        }
        if (crosses && _engine.Options.Chaining)
        {
            _engine.LinkUngrouped(block, index, ungrouped);
        }
        Continue(ungrouped.Local);
        return false;
    }

    // ---- misses --------------------------------------------------------------------------------------

    private bool HandleMiss(TranslationBlock block, int index, ulong page, ref VcpuExit exit)
    {
        ref Site site = ref block.Sites[index];
        bool kernel = _head->Registers.KernelMode != 0;
        _head->Registers.Rip = Wrap(page, site.Guest);
        ulong va = MissedAddress(site, kernel);
        if ((va & 4095) + site.Size <= GuestFrames.PageSize)
        {
            MissResult result = FillTlb(va, site.Write, kernel, out exit);
            if (result == MissResult.Filled)
            {
                _resume = block.Code + site.Resume; // the generation was taken when the code was left
                return false;
            }
            if (result == MissResult.Fault && !site.Masked)
            {
                return ToPreciseFault(site, va, ref exit);
            }
        }
        else if (site.Size <= Translator.MaxSplitBytes && _engine.Options.Chaining)
        {
            _engine.AddSplit(block, index);
        }
        return site.Kind switch
        {
            SiteKind.Load => CompleteLoad(block, site, va, ref exit),
            SiteKind.Store => CompleteStore(block, site, va, page, ref exit),
            _ => Step(block, index, va, page, ref exit) && ToPreciseFault(site, va, ref exit),
        };
    }

    /// <summary>#SS instead of #GP; and #GP instead of a page fault of a misaligned operand. Always true.</summary>
    private bool ToPreciseFault(in Site site, ulong va, ref VcpuExit exit)
    {
        ToStackFault(site, va, ref exit);
        bool misaligned = site.Size is 16 or 32 or 64 && (va & (ulong)(site.Size - 1)) != 0;
        if (misaligned && exit.Kind == ExitKind.Exception && exit.Vector == (byte)ExceptionVector.PageFault
            && SlowInstructions.TryDecode(this, _head->Registers.Rip, out Instruction i)
            && AlignedOperands.Requires(i, site.Size))
        {
            exit = VcpuExit.Fault(ExceptionVector.GeneralProtection, 0);
        }
        return true;
    }

    /// <summary>Undoes what the check did to the address.</summary>
    private ulong MissedAddress(in Site site, bool kernel)
    {
        if (site.FlagFree)
        {
            return *(ulong*)(_area + VcpuArea.Spill1);
        }
        int table = site.Write ? VcpuArea.WriteTable(kernel) : VcpuArea.ReadTable(kernel);
        return _head->Temp0 - *(ulong*)(_area + table + (uint)_head->Temp1);
    }

    /// <summary>A non-canonical address is #SS where the stack segment names it: by push, pop, rsp or rbp.</summary>
    private void ToStackFault(in Site site, ulong va, ref VcpuExit exit)
    {
        bool canonical = PageTableEntry.IsCanonical(va) && PageTableEntry.IsCanonical(va + (ulong)site.Size - 1);
        if (canonical || exit.Kind != ExitKind.Exception || exit.Vector != (byte)ExceptionVector.GeneralProtection
            || !SlowInstructions.TryDecode(this, _head->Registers.Rip, out Instruction i))
        {
            return;
        }
        bool implied = site.Kind == SiteKind.Store || !HasMemoryOperand(i);
        if (implied ? site.Kind != SiteKind.Access : SlowInstructions.NamesStackSegment(i))
        {
            exit.Vector = (byte)ExceptionVector.StackFault;
        }
    }

    private static bool HasMemoryOperand(in Instruction i)
    {
        for (int n = 0; n < i.OpCount; n++)
        {
            if (i.GetOpKind(n) == OpKind.Memory)
            {
                return true;
            }
        }
        return false;
    }

    private bool CompleteLoad(TranslationBlock block, in Site site, ulong va, ref VcpuExit exit)
    {
        ulong value = 0;
        if (!ReadVirtual(va, new Span<byte>(&value, site.Size), _head->Registers.KernelMode != 0, out exit))
        {
            ToStackFault(site, va, ref exit);
            return true;
        }
        _head->Temp0 = value;
        _resume = block.Code + site.After;
        return false;
    }

    private bool CompleteStore(TranslationBlock block, in Site site, ulong va, ulong page, ref VcpuExit exit)
    {
        ulong value = site.Source switch
        {
            StoreSource.Register => _head->Registers.Gpr[site.Register],
            StoreSource.Immediate => (ulong)site.Value,
            StoreSource.GuestAddress => page + (ulong)site.Value,
            _ => *(ulong*)(_area + VcpuArea.Spill2),
        };
        if (!WriteVirtual(va, new ReadOnlySpan<byte>(&value, site.Size), _head->Registers.KernelMode != 0, out exit))
        {
            ToStackFault(site, va, ref exit);
            return true;
        }
        _resume = block.Code + site.After;
        return false;
    }

    // ---- host faults ---------------------------------------------------------------------------------

    /// <summary>A host signal in translated code: the guest's instruction faulted as it would on hardware.</summary>
    private void HandleHostFault(out VcpuExit exit)
    {
        byte* pc = _head->FaultPc_;
        (TranslationBlock? block, int offset) = _engine.PlaceOf(pc);
        if (block == null)
        {
            (block, offset) = _engine.PlaceOf(*(byte**)(_area - 8)); // in a routine: where it was called
        }
        Debug.Require(block != null, $"host signal {_head->FaultSignal_} outside translations");
        ulong page = block.PageVa != 0 ? block.PageVa : _head->CodeBase_;
        _head->Registers.Rip = Wrap(page, offset);
        exit = FaultOf(_head->FaultSignal_, _head->FaultVector_);
    }

    /// <summary>
    /// The guest's exception for a host signal. SIGFPE is #DE, #MF and #XM: the vector tells, the instruction does not (an
    /// MMX operand of an SSE instruction can mean either of the last two).
    /// </summary>
    private static VcpuExit FaultOf(int signal, int vector) => signal switch
    {
        4 => VcpuExit.Fault(ExceptionVector.InvalidOpcode), // SIGILL
        8 => VcpuExit.Fault((ExceptionVector)vector), // SIGFPE
        _ => VcpuExit.Fault(ExceptionVector.GeneralProtection, 0),
    };
}
