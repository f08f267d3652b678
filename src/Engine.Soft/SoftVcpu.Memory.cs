using System;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Engine.Soft.Memory;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Engine.Soft;

internal enum MissResult
{
    Filled,
    Fault,

    /// <summary>The page holds translated code: the write must be seen by the engine.</summary>
    CodePage,
}

/// <summary>Soft TLB, address spaces, and guest virtual memory for C# code.</summary>
internal sealed unsafe partial class SoftVcpu
{
    private ulong _kernelRoot, _userRoot;

    /// <summary>The tables by <see cref="VcpuArea.TlbNumber"/>.</summary>
    private readonly TlbTable[] _tlb = new TlbTable[VcpuArea.TlbTables];

    private TlbTable TlbOf(int table) => _tlb[VcpuArea.TlbNumber(table)];

    public ulong KernelRoot
    {
        get => _kernelRoot;
        set
        {
            KeptPages left = _keptOfKernel.Leave(_kernelRoot);
            TlbOf(VcpuArea.KernelRead).ClearLowerHalf(left.Read);
            TlbOf(VcpuArea.KernelWrite).ClearLowerHalf(left.Write);
            _kernelRoot = value;
            *(byte**)(_area + VcpuArea.RootOf(kernel: true)) = _engine.Frames.Frame(value);
            Counters.KernelRootChanges++;
            Return(kernel: true, _keptOfKernel.Find(value));
            if ((long)(0 - _head->KernelStackTag_) >= 0)
            {
                _head->KernelStackTag_ = VcpuArea.EmptyTag;
            }
            if (_hasLowKernelCode)
            {
                VerifyKernelCode();
            }
        }
    }

    public ulong UserRoot
    {
        get => _userRoot;
        set
        {
            KeptPages left = _keptOfUser.Leave(_userRoot);
            TlbOf(VcpuArea.UserRead).ClearLowerHalf(left.Read);
            TlbOf(VcpuArea.UserWrite).ClearLowerHalf(left.Write);
            KeepUserCode(left.Code);
            _userRoot = value;
            *(byte**)(_area + VcpuArea.RootOf(kernel: false)) = _engine.Frames.Frame(value);
            FlushUser();
            Return(kernel: false, _keptOfUser.Find(value));
        }
    }

    /// <summary>What was used of other address spaces: below the hole by the kernel, and by user code.</summary>
    private readonly KeptSpaces _keptOfKernel = new(), _keptOfUser = new();
    private readonly LastTables _tables;
    private readonly ReturnWalker _returnWalker;

    /// <summary>Walks in the kernel's address space as it is now.</summary>
    internal LastTables KernelTables() => _tables.Begin(_kernelRoot);

    /// <summary>Looks up what was used of an address space when it was left, as if it had been missed again.</summary>
    private void Return(bool kernel, KeptPages? pages)
    {
        if (pages == null || !_engine.Options.InlineFills || !pages.TryReturn())
        {
            return;
        }
        _returnWalker.Begin(kernel ? _kernelRoot : _userRoot);
        TlbTable reads = TlbOf(VcpuArea.ReadTable(kernel)), writes = TlbOf(VcpuArea.WriteTable(kernel));
        ReadOnlySpan<ulong> wanted = CollectionsMarshal.AsSpan(pages.Write);
        ReadOnlySpan<ReturnedPage> found = _returnWalker.Walk(wanted);
        const ulong ready = PageTableEntry.Writable | PageTableEntry.Dirty;
        const FrameFlags open = FrameFlags.WriteCached | FrameFlags.Dirty;
        for (int n = 0; n < wanted.Length; n++)
        {
            if (found[n].Frame >= 0 && (found[n].Entry & ready) == ready && (found[n].Flags & (open | FrameFlags.Code)) == open)
            {
                writes.Set(wanted[n], HostPage(found[n]));
            }
        }
        wanted = CollectionsMarshal.AsSpan(pages.Read);
        found = _returnWalker.Walk(wanted);
        for (int n = 0; n < wanted.Length; n++)
        {
            if (found[n].Frame >= 0)
            {
                reads.Set(wanted[n], HostPage(found[n]));
            }
        }
        wanted = CollectionsMarshal.AsSpan(pages.Code);
        found = _returnWalker.Walk(wanted);
        for (int n = 0; n < wanted.Length; n++)
        {
            if (found[n].Frame >= 0 && (found[n].Entry & PageTableEntry.NoExecute) == 0)
            {
                NoteUserPage(wanted[n], found[n].Frame);
            }
        }
        Counters.Returned += pages.Read.Count + pages.Write.Count + pages.Code.Count;
    }

    private byte* HostPage(in ReturnedPage page) => _engine.Frames.Base + page.Frame * GuestFrames.PageSize;

    private void FlushUser()
    {
        Counters.UserFlushes++;
        TlbOf(VcpuArea.UserRead).Clear();
        TlbOf(VcpuArea.UserWrite).Clear();
        _head->UserStackTag_ = VcpuArea.EmptyTag;
        ForgetUserCode();
    }

    /// <summary>How often generated code filled an entry by itself.</summary>
    internal long InlineFills => *(long*)(_area + VcpuArea.Fills);

    internal long InlineCodePages => *(long*)(_area + VcpuArea.CodePageFills);

    public void FlushTlb()
    {
        Counters.FullFlushes++;
        foreach (TlbTable table in _tlb)
        {
            table.Clear();
        }
        ForgetStacks();
        ForgetUserCode();
        VerifyKernelCode();
    }

    public void FlushPage(ulong va)
    {
        ulong page = va & ~0xfffUL;
        foreach (TlbTable table in _tlb)
        {
            table.Remove(page);
        }
        ForgetStacks();
        FlushCodePage(page);
    }

    internal void DropWriteEntries(byte* hostPage)
    {
        TlbOf(VcpuArea.KernelWrite).RemoveHostPage(hostPage);
        TlbOf(VcpuArea.UserWrite).RemoveHostPage(hostPage);
        ForgetStacks();
    }

    private void ForgetStacks()
    {
        _head->UserStackTag_ = VcpuArea.EmptyTag;
        _head->KernelStackTag_ = VcpuArea.EmptyTag;
    }

    private MissResult FillTlb(ulong va, bool write, bool kernel, out VcpuExit fault)
    {
        fault = default;
        Counters.Fills++;
        if (!PageTableEntry.IsCanonical(va))
        {
            fault = VcpuExit.Fault(ExceptionVector.GeneralProtection, 0);
            return MissResult.Fault;
        }
        AccessKind kind = write ? AccessKind.Write : AccessKind.Read;
        if (!_engine.Walker.TryWalk(kernel ? _kernelRoot : _userRoot, va, kind, kernel, true, out Translation t))
        {
            fault = VcpuExit.PageFault(va, t.Error);
            return MissResult.Fault;
        }
        GuestFrames frames = _engine.Frames;
        bool open = write || (t.WriteReady && t.Frame >= 0 && frames.Has(t.Frame, FrameFlags.Dirty));
        if (open && t.Frame >= 0 && TryOpenForWrite(frames, t.Frame))
        {
            TlbOf(VcpuArea.WriteTable(kernel)).Set(va, t.Page);
        }
        else if (write)
        {
            return MissResult.CodePage;
        }
        TlbOf(VcpuArea.ReadTable(kernel)).Set(va, t.Page);
        return MissResult.Filled;
    }

    /// <summary>False when the frame holds code. The order against <c>ProtectCode</c> matters: announce, then look.</summary>
    private static bool TryOpenForWrite(GuestFrames frames, long frame)
    {
        var known = (FrameFlags)frames.Flags[frame];
        if ((known & FrameFlags.Code) != 0)
        {
            return false;
        }
        const FrameFlags open = FrameFlags.WriteCached | FrameFlags.Dirty;
        if ((known & open) == open)
        {
            return true; // announced before: whoever protects the frame since then has asked us to flush
        }
        frames.Set(frame, FrameFlags.WriteCached | FrameFlags.Dirty);
        Interlocked.MemoryBarrier();
        return !frames.Has(frame, FrameFlags.Code);
    }

    // ---- memory for C# code --------------------------------------------------------------------------

    public bool TryRead(ulong va, Span<byte> destination, out VcpuExit fault) => ReadVirtual(va, destination, true, out fault);

    public bool TryWrite(ulong va, ReadOnlySpan<byte> source, out VcpuExit fault) => WriteVirtual(va, source, true, out fault);

    public bool TryTranslate(ulong va, bool kernelMode, out ulong maddr, out ulong leafEntry)
    {
        bool found = _engine.Walker.TryWalk(kernelMode ? _kernelRoot : _userRoot, va, AccessKind.Read, kernelMode, false,
            out Translation t) && t.Frame >= 0;
        maddr = found ? _engine.Frames.MfnOf(t.Frame) << 12 | (va & 0xfff) : 0;
        leafEntry = t.LeafEntry;
        return found;
    }

    internal bool ReadVirtual(ulong va, Span<byte> destination, bool kernel, out VcpuExit fault)
    {
        fault = default;
        while (!destination.IsEmpty)
        {
            int n = Math.Min(destination.Length, GuestFrames.PageSize - (int)(va & 0xfff));
            byte* host = TlbOf(VcpuArea.ReadTable(kernel)).Probe(va);
            if (host == null)
            {
                if (FillTlb(va, false, kernel, out fault) == MissResult.Fault)
                {
                    return false;
                }
                host = TlbOf(VcpuArea.ReadTable(kernel)).Probe(va);
            }
            new ReadOnlySpan<byte>(host, n).CopyTo(destination);
            destination = destination[n..];
            va += (ulong)n;
        }
        return true;
    }

    /// <summary>Host address for writing within one page; null on a fault. Pages with code are written through here too.</summary>
    private byte* WritePointer(ulong va, bool kernel, out VcpuExit fault, out bool code)
    {
        fault = default;
        code = false;
        byte* host = TlbOf(VcpuArea.WriteTable(kernel)).Probe(va);
        if (host != null)
        {
            return host;
        }
        switch (FillTlb(va, true, kernel, out fault))
        {
            case MissResult.Filled:
                return TlbOf(VcpuArea.WriteTable(kernel)).Probe(va);
            case MissResult.CodePage:
                code = true;
                _engine.Walker.TryWalk(kernel ? _kernelRoot : _userRoot, va, AccessKind.Write, kernel, true, out Translation t);
                return t.Page == null ? null : t.Page + (va & 0xfff);
            default:
                return null;
        }
    }

    internal bool CanWrite(ulong va, int length, bool kernel, out VcpuExit fault)
    {
        fault = default;
        ulong end = va + (ulong)length;
        for (ulong at = va; at < end; at = (at | 0xfff) + 1)
        {
            if (WritePointer(at, kernel, out fault, out _) == null)
            {
                return false;
            }
        }
        return true;
    }

    internal bool WriteVirtual(ulong va, ReadOnlySpan<byte> source, bool kernel, out VcpuExit fault)
    {
        fault = default;
        if ((va & 0xfff) + (ulong)source.Length > GuestFrames.PageSize && !CanWrite(va, source.Length, kernel, out fault))
        {
            return false;
        }
        while (!source.IsEmpty)
        {
            int n = Math.Min(source.Length, GuestFrames.PageSize - (int)(va & 0xfff));
            byte* host = WritePointer(va, kernel, out fault, out bool code);
            if (host == null)
            {
                return false;
            }
            source[..n].CopyTo(new Span<byte>(host, n));
            if (code)
            {
                NoteCodeWrite(host, n);
            }
            source = source[n..];
            va += (ulong)n;
        }
        return true;
    }

    /// <summary>Bytes of a page that holds translations have been written.</summary>
    private void NoteCodeWrite(byte* host, int bytes)
    {
        long frame = _engine.Frames.IndexOfHost(host);
        _engine.Frames.Set(frame, FrameFlags.Dirty);
        _engine.OnCodeWrite(this, frame, (int)((ulong)host & 0xfff), bytes);
    }

    /// <summary>Instruction bytes within one page; false when the page is not executable.</summary>
    internal bool FetchVirtual(ulong va, Span<byte> destination, bool kernel)
    {
        while (!destination.IsEmpty)
        {
            int n = Math.Min(destination.Length, GuestFrames.PageSize - (int)(va & 0xfff));
            if (!TryCodePage(va, kernel, out long frame, out _))
            {
                return false;
            }
            byte* host = _engine.Frames.Base + frame * GuestFrames.PageSize + (va & 0xfff);
            new ReadOnlySpan<byte>(host, n).CopyTo(destination);
            destination = destination[n..];
            va += (ulong)n;
        }
        return true;
    }

    /// <summary>True when two addresses lie in the same physical page.</summary>
    internal bool SamePage(ulong first, ulong second, bool kernel)
    {
        byte* a = TlbOf(VcpuArea.ReadTable(kernel)).Probe(first), b = TlbOf(VcpuArea.ReadTable(kernel)).Probe(second);
        return a != null && b != null && (ulong)a >> 12 == (ulong)b >> 12;
    }
}
