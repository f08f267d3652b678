using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Ryokan.Engine.Soft.Memory;
using Ryokan.Engine.Soft.Translate;
using Ryokan.X86;

namespace Ryokan.Engine.Soft;

/// <summary>From a guest address to translated code: jump caches and the executable pages behind them.</summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Executable pages that jump-cache entries rest on: page address to frame.</summary>
    private readonly Dictionary<ulong, long> _kernelCode = [];

    /// <summary>The kernel has run code in the lower half of the address space, which is another with each root.</summary>
    private bool _hasLowKernelCode;

    /// <summary>Jump-cache entries that were filled here, to clear no more than those.</summary>
    private readonly List<int> _kernelFilled = [], _kernelFilled2 = [], _userFilled2 = [];

    private BlockMode _kernelJumpMode, _userJumpMode;

    private BlockMode CurrentMode
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            ref VcpuRegisters r = ref _head->Registers;
            BlockMode mode = (r.KernelMode != 0 ? BlockMode.Kernel : 0) | (r.LongCode != 0 ? BlockMode.Long : 0);
            if ((r.Rflags & (ulong)(Rflags.DF | Rflags.TF)) != 0)
            {
                mode |= (r.Rflags & (ulong)Rflags.DF) != 0 ? BlockMode.Backward : 0;
                mode |= (r.Rflags & (ulong)Rflags.TF) != 0 ? BlockMode.SingleStep : 0;
            }
            return r.TaskSwitched != 0 ? mode | BlockMode.TaskSwitched : mode;
        }
    }

    /// <summary>The jump to the current rip went to what the jump cache names, and that was not right.</summary>
    private bool _missedJump;

    /// <summary>Host code for the current rip, past the entry that sets the page base; null with the fault.</summary>
    private byte* Resolve(out VcpuExit fault)
    {
        fault = default;
        LetSleep();
        ulong rip = _head->Registers.Rip;
        BlockMode mode = CurrentMode;
        bool kernel = (mode & BlockMode.Kernel) != 0;
        ref BlockMode jumpMode = ref kernel ? ref _kernelJumpMode : ref _userJumpMode;
        if (jumpMode != mode)
        {
            ClearJumps(kernel);
            jumpMode = mode;
        }
        bool missed = _missedJump;
        _missedJump = false;
        ulong* entry = JumpEntry(kernel, JumpIndex(rip));
        if (TagOf(entry) == 0 - rip)
        {
            bool isKnown = kernel || CodePages[CodePageIndex(rip)] != VcpuArea.EmptyCodePage;
            if (!isKnown && !TryCodePage(rip, kernel, out _, out fault))
            {
                return null;
            }
            if (kernel || !isKnown || !missed)
            {
                _head->Temp0 = rip;
                return (byte*)entry[0]; // which looks whether the page is its own
            }
        }
        TranslationBlock? block = FindBlock(rip, BlockMode.None, byCache: true, out fault);
        if (block == null)
        {
            return null;
        }
        if ((mode & BlockMode.SingleStep) != 0)
        {
            _head->JumpMaskNow_ = 0; // every indirect jump comes back here
        }
        else
        {
            FillJump(kernel, rip, block);
        }
        return block.Local;
    }

    /// <summary>The code of a jump-cache entry.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)] // on the way of every system call
    private ulong* JumpEntry(bool kernel, int index) => (ulong*)(_area + VcpuArea.JumpTable(kernel)) + index;

    /// <summary>Minus the address of a jump-cache entry.</summary>
    private static ref ulong TagOf(ulong* entry) => ref entry[VcpuArea.JumpTag / 8];

    private static int JumpIndex(ulong va) => (int)(va >> 2) & (VcpuArea.JumpEntries - 1);

    private static int Jump2Index(ulong key) => (int)((key + (key >> VcpuArea.Jump2Shift)) & VcpuArea.Jump2Mask);

    /// <summary>What the second level knows a block by.</summary>
    private static ulong Jump2Key(TranslationBlock block) => (block.Key.Mode & BlockMode.Kernel) != 0
        ? block.PageVa + (ulong)block.Key.Offset : (ulong)block.Key.Frame << 12 | (uint)block.Key.Offset;

    private void FillJump(bool kernel, ulong rip, TranslationBlock block)
    {
        int index = JumpIndex(rip);
        byte* code = _engine.EntryOf(block);
        if (index == 0 || code == null)
        {
            return; // entry 0 must never match: kicks send every look-up there
        }
        ulong* entry = JumpEntry(kernel, index);
        if (kernel && TagOf(entry) == VcpuArea.EmptyJump)
        {
            _kernelFilled.Add(index);
        }
        TagOf(entry) = 0 - rip;
        entry[0] = (ulong)code;
        ulong key = Jump2Key(block);
        int index2 = Jump2Index(key);
        ulong* second = (ulong*)(_area + VcpuArea.JumpTable2(kernel) + index2 * 16);
        if (index2 != 0 && (kernel || _engine.Frames.TotalFrames < VcpuArea.MostCodeFrames))
        {
            if (second[0] == 0)
            {
                (kernel ? _kernelFilled2 : _userFilled2).Add(index2);
            }
            second[0] = 0 - key;
            second[1] = (ulong)code;
        }
    }

    private TranslationBlock? FindBlock(ulong rip, BlockMode extra, bool byCache, out VcpuExit fault)
    {
        Counters.BlocksFound++;
        BlockMode mode = CurrentMode | extra;
        bool kernel = (mode & BlockMode.Kernel) != 0;
        if (!TryCodePage(rip, kernel, out long frame, out fault))
        {
            return null;
        }
        int offset = (int)(rip & 0xfff);
        long second = -1;
        if (offset > 4096 - Translator.LongestInstruction && _engine.CrossesPage(frame, offset, mode)
            && !TryCodePage((rip | 0xfff) + 1, kernel, out second, out fault))
        {
            return null;
        }
        _head->CodeBase_ = rip & ~0xfffUL;
        ulong pageVa = kernel ? rip & ~0xfffUL : 0;
        return _engine.GetBlock(this, new BlockKey(frame, offset, mode), pageVa, second, byCache);
    }

    /// <summary>Frame of an executable page, by the tables of the mode.</summary>
    private bool TryCodePage(ulong va, bool kernel, out long frame, out VcpuExit fault)
    {
        fault = default;
        ulong page = va & ~0xfffUL;
        if (kernel ? _kernelCode.TryGetValue(page, out frame) : TryKnownUserPage(page, out frame))
        {
            return true;
        }
        if (!PageTableEntry.IsCanonical(va))
        {
            fault = VcpuExit.Fault(ExceptionVector.GeneralProtection, 0);
            return false;
        }
        ulong root = kernel ? _kernelRoot : _userRoot;
        if (!_engine.Walker.TryWalk(root, va, AccessKind.Execute, kernel, true, out Translation t) || t.Frame < 0)
        {
            fault = VcpuExit.PageFault(va, t.Error);
            return false;
        }
        frame = t.Frame;
        if (kernel)
        {
            _kernelCode.Add(page, frame);
            _hasLowKernelCode |= (long)page >= 0;
        }
        else
        {
            NoteUserPage(page, frame);
        }
        return true;
    }

    /// <summary>
    /// What is known of executable user pages (<see cref="VcpuArea.CodePages"/>): links between pages and entries of blocks look at it, and
    /// <see cref="Emit.Routines"/> adds to it.
    /// </summary>
    private ulong* CodePages => (ulong*)(_area + VcpuArea.CodePages);

    private static int CodePageIndex(ulong page) => (int)(page >> 12) & (VcpuArea.CodePageEntries - 1);

    private UsedEntries UsedCodePages => new(_area + VcpuArea.UsedCodePages);

    private bool TryKnownUserPage(ulong page, out long frame)
    {
        ulong times4 = CodePages[CodePageIndex(page)] + page;
        frame = (long)(times4 / 4);
        ulong frames = _engine.Frames.TotalFrames;
        return times4 % 4 == 0 && times4 / 4 < frames && frames < VcpuArea.MostCodeFrames; // or pages cannot be told apart for certain
    }

    private void NoteUserPage(ulong page, long frame)
    {
        ref ulong known = ref CodePages[CodePageIndex(page)];
        if (known == VcpuArea.EmptyCodePage)
        {
            UsedCodePages.Add(CodePageIndex(page));
        }
        known = 4 * (ulong)frame - page;
    }

    /// <summary>Says which user pages are known, when they are not too many.</summary>
    private void KeepUserCode(List<ulong> pages)
    {
        if (UsedCodePages.AreMany || _engine.Frames.TotalFrames >= VcpuArea.MostCodeFrames)
        {
            return;
        }
        foreach (ushort index in UsedCodePages.Entries)
        {
            if (CodePages[index] != VcpuArea.EmptyCodePage)
            {
                // An entry is 4 * frame - page, 4 * frame is less than the table reaches over, and the page's bits up to there are the index.
                ulong least = 0 - CodePages[index], reach = (ulong)VcpuArea.CodePageEntries << 12;
                KeptPages.Keep(pages, least + (((ulong)index << 12) - least & (reach - 1)));
            }
        }
    }

    private void EmptyJump(bool kernel, ulong* entry, ulong tag)
    {
        TagOf(entry) = tag;
        entry[0] = (ulong)_engine.Routines.JumpEmpty(kernel);
    }

    private void EmptyAllJumps(bool kernel)
    {
        for (int n = 0; n < VcpuArea.JumpEntries; n++)
        {
            EmptyJump(kernel, JumpEntry(kernel, n), VcpuArea.EmptyJump);
        }
    }

    private void ClearJumps(bool kernel)
    {
        if (kernel)
        {
            foreach (int index in _kernelFilled)
            {
                EmptyJump(kernel, JumpEntry(kernel, index), VcpuArea.EmptyJump);
            }
            _kernelFilled.Clear();
        }
        else
        {
            EmptyAllJumps(kernel); // generated code fills entries too
        }
        List<int> filled2 = kernel ? _kernelFilled2 : _userFilled2;
        foreach (int index in filled2)
        {
            *(ulong*)(_area + VcpuArea.JumpTable2(kernel) + index * 16) = 0;
        }
        filled2.Clear();
    }

    internal void ForgetJumps()
    {
        ClearJumps(true);
        ClearJumps(false);
    }

    private void ForgetUserCode()
    {
        UsedEntries used = UsedCodePages;
        if (!used.AreNone)
        {
            if (used.AreMany)
            {
                new Span<ulong>(CodePages, VcpuArea.CodePageEntries).Fill(VcpuArea.EmptyCodePage);
            }
            else
            {
                foreach (ushort index in used.Entries)
                {
                    CodePages[index] = VcpuArea.EmptyCodePage;
                }
            }
            used.Clear();
            if (_engine.Frames.TotalFrames >= VcpuArea.MostCodeFrames)
            {
                ClearJumps(false); // pages in the table cannot be told apart for certain
            }
        }
    }

    /// <summary>
    /// After a flush: kernel code rarely moves, so its jump cache is kept, but for the pages that are not where they were: modules come and go.
    /// There are some hundred pages, in few tables.
    /// </summary>
    private void VerifyKernelCode()
    {
        LastTables tables = KernelTables();
        foreach ((ulong page, long frame) in _kernelCode)
        {
            if (!tables.IsExecutable(page, frame))
            {
                _movedKernelCode.Add(page);
            }
        }
        ForgetMovedKernelCode();
        _engine.VerifyLinks(tables);
    }

    private void FlushCodePage(ulong page)
    {
        if (CodePages[CodePageIndex(page)] != VcpuArea.EmptyCodePage)
        {
            ForgetUserCode();
        }
        bool isKnown = _kernelCode.TryGetValue(page, out long frame);
        if (!isKnown && (long)page >= 0)
        {
            return; // nothing is linked to there
        }
        LastTables tables = KernelTables();
        if (isKnown && !tables.IsExecutable(page, frame))
        {
            _movedKernelCode.Add(page);
            ForgetMovedKernelCode();
        }
        _engine.VerifyLinks(tables, page);
    }

    /// <summary>Pages of kernel code that are not where they were, while their jump-cache entries are looked for.</summary>
    private readonly HashSet<ulong> _movedKernelCode = [];
    private ulong _firstMoved, _lastMoved;

    private void ForgetMovedKernelCode()
    {
        if (_movedKernelCode.Count == 0)
        {
            return;
        }
        (_firstMoved, _lastMoved) = (ulong.MaxValue, 0);
        foreach (ulong page in _movedKernelCode)
        {
            _kernelCode.Remove(page);
            (_firstMoved, _lastMoved) = (Math.Min(page, _firstMoved), Math.Max(page, _lastMoved));
        }
        foreach (int index in _kernelFilled)
        {
            ulong* entry = JumpEntry(true, index);
            if (HasMoved(0 - TagOf(entry)))
            {
                EmptyJump(true, entry, VcpuArea.ForgottenJump);
            }
        }
        foreach (int index in _kernelFilled2)
        {
            ulong* second = (ulong*)(_area + VcpuArea.KernelJumps2 + index * 16);
            if (HasMoved(0 - second[0]))
            {
                second[0] = VcpuArea.ForgottenJump;
            }
        }
        _movedKernelCode.Clear();
    }

    /// <summary>Whether the page of a block has moved, or, when its first instruction may go on there, the next one.</summary>
    private bool HasMoved(ulong va)
    {
        ulong page = va & ~0xfffUL, last = (va + Translator.LongestInstruction - 1) & ~0xfffUL;
        return last >= _firstMoved && page <= _lastMoved && (_movedKernelCode.Contains(page) || _movedKernelCode.Contains(last));
    }

    /// <summary>Drops jump-cache entries that lead to a retired block. The entry of user code looks for itself, wherever it is mapped.</summary>
    internal void ForgetBlock(TranslationBlock block)
    {
        if ((block.Key.Mode & BlockMode.Kernel) == 0)
        {
            return;
        }
        ulong va = block.PageVa + (ulong)block.Key.Offset;
        ulong* first = JumpEntry(true, JumpIndex(va));
        if (TagOf(first) == 0 - va)
        {
            EmptyJump(true, first, VcpuArea.ForgottenJump);
        }
        ulong* second = (ulong*)(_area + VcpuArea.KernelJumps2 + Jump2Index(Jump2Key(block)) * 16);
        if (second[0] == 0 - va)
        {
            second[0] = VcpuArea.ForgottenJump;
        }
    }
}
