using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.Engine.Soft.Diagnostics;
using Ryokan.Engine.Soft.Emit;
using Ryokan.Engine.Soft.Memory;
using Ryokan.Engine.Soft.Stored;
using Ryokan.Engine.Soft.Translate;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Engine.Soft;

/// <summary>
/// The software engine of one domain: x86-64 to x86-64 translation with a checked pointer for every guest
/// access. Translations are shared by all vCPUs and guarded by one lock; a vCPU that runs translated code
/// holds no lock and never waits, so others may wait for it to leave.
/// </summary>
public sealed unsafe class SoftEngine : IEngine, ICodeWriteObserver
{
    private readonly object _gate = new();
    private readonly List<SoftVcpu> _vcpus = [];
    private SoftVcpu[] _vcpuArray = [];
    private readonly CodeCache _cache;
    private readonly BlockTable _blocks;
    private readonly Translator _translator;
    private readonly LinkedPages _linkedPages = new();
    private readonly TranslationStore? _store;
    private readonly TranslationJournal? _journal;

    /// <summary>A page that is written this often while it holds code loses all its translations at once.</summary>
    private const int MixedPageWrites = 16;

    internal GuestFrames Frames { get; }
    internal HypervisorHole Hole { get; }
    internal SoftEngineOptions Options { get; }
    internal Routines Routines { get; }
    internal PageWalker Walker { get; }

    /// <summary>Counts full flushes of the code cache: code addresses from before are void.</summary>
    internal int Generation { get; private set; }

    internal bool IsShared => _vcpuArray.Length > 1;

    /// <exception cref="PlatformNotSupportedException">the host CPU lacks AVX2 or BMI2</exception>
    public SoftEngine(GuestFrames frames, HypervisorHole hole, SoftEngineOptions options)
    {
        if (!HostCpuid.IsSufficient)
        {
            throw new PlatformNotSupportedException(
                "the software engine needs a processor with AVX2 and BMI2 (Intel Haswell, AMD Excavator or later)");
        }
        Frames = frames;
        Hole = hole;
        Options = options;
        _cache = new CodeCache(options.CodeCacheMegabytes);
        Routines = new Routines(_cache, options.InlineFills);
        _cache.Seal();
        _blocks = new BlockTable(frames);
        _translator = new Translator(options, Routines, _cache, frames);
        _store = options.Store is { } store ? TranslationStore.TryOpen(store, options) : null;
        _journal = options.Journal is { } journal ? TranslationJournal.TryCreate(journal) : null;
        Walker = new PageWalker(frames, hole);
        HostSignals.Register(_cache, Routines.FaultExit);
        frames.SetObserver(this);
    }

    public IVcpu CreateVcpu(int id, IVcpuHost host)
    {
        lock (_gate)
        {
            var vcpu = new SoftVcpu(this, id, host);
            _vcpus.Add(vcpu);
            _vcpuArray = [.. _vcpus];
            return vcpu;
        }
    }

    public CpuidResult Cpuid(uint leaf, uint subleaf) => HostCpuid.Read(leaf, subleaf);

    /// <summary>Time-stamp counter of the host, which guest code reads directly.</summary>
    public ulong ReadTsc() => ((delegate* unmanaged<ulong>)Routines.ReadTsc)();

    // ---- blocks --------------------------------------------------------------------------------------

    /// <summary>The block at a site's host address word.</summary>
    internal TranslationBlock BlockById(int id) => _blocks.ById[id];

    /// <summary>The block, and the page offset of the instruction, that a host address belongs to; (null, 0) for none.</summary>
    internal (TranslationBlock? Block, int Offset) PlaceOf(byte* pc)
    {
        lock (_gate)
        {
            return _blocks.PlaceOf(pc);
        }
    }

    /// <summary>
    /// Finds or makes the translation of a physical place. <paramref name="byCache"/>: it is wanted for the jump cache, so a new one begins
    /// with an entry for that.
    /// </summary>
    internal TranslationBlock GetBlock(SoftVcpu caller, in BlockKey key, ulong pageVa, long secondFrame, bool byCache)
    {
        lock (_gate)
        {
            TranslationBlock? block = _blocks.Find(key, pageVa, secondFrame);
            if (block != null)
            {
                return block;
            }
            ProtectCode(caller, key.Frame);
            if (secondFrame >= 0)
            {
                ProtectCode(caller, secondFrame);
            }
            block = Translate(key, pageVa, secondFrame, byCache);
            if (block == null)
            {
                DropAll(caller);
                ProtectCode(caller, key.Frame);
                if (secondFrame >= 0)
                {
                    ProtectCode(caller, secondFrame);
                }
                block = Translate(key, pageVa, secondFrame, byCache);
                Debug.Require(block != null, "code cache too small for one block");
            }
            if (_blocks.Add(block) is { } displaced)
            {
                Retire(caller, displaced);
            }
            return block;
        }
    }

    private TranslationBlock? Translate(in BlockKey key, ulong pageVa, long secondFrame, bool byCache)
    {
        int id = _blocks.ById.Count;
        if (_store != null && secondFrame < 0)
        {
            ReadOnlySpan<byte> page = new(Frames.Base + key.Frame * GuestFrames.PageSize, GuestFrames.PageSize);
            ReadOnlySpan<byte> record = _store.Find(key.Mode, key.Offset, pageVa, page);
            if (!record.IsEmpty)
            {
                return _translator.Load(record, key, pageVa, id);
            }
        }
        TranslationBlock? block = _translator.Translate(key, pageVa, secondFrame, id, byCache);
        if (block != null && _journal != null)
        {
            _translator.Note(_journal);
        }
        return block;
    }

    /// <summary>Where the jump cache may lead to for a block; null when there is no room to make it, or it is retired.</summary>
    internal byte* EntryOf(TranslationBlock block)
    {
        lock (_gate)
        {
            if (block.Entry == null && block.Valid)
            {
                _translator.TranslateEntry(block);
            }
            return block.Entry;
        }
    }

    /// <summary>True when the instruction at a page offset needs bytes of the next page.</summary>
    internal bool CrossesPage(long frame, int offset, BlockMode mode)
    {
        lock (_gate)
        {
            return _translator.CrossesPage(frame, offset, (mode & BlockMode.Long) != 0);
        }
    }

    /// <summary>Marks a frame as holding code and takes write entries for it from every soft TLB.</summary>
    private void ProtectCode(SoftVcpu caller, long frame)
    {
        if (Frames.Has(frame, FrameFlags.Code))
        {
            return;
        }
        Frames.Set(frame, FrameFlags.Code);
        Interlocked.MemoryBarrier();
        if (!Frames.Has(frame, FrameFlags.WriteCached))
        {
            return;
        }
        Frames.Clear(frame, FrameFlags.WriteCached);
        byte* page = Frames.Base + frame * GuestFrames.PageSize;
        foreach (SoftVcpu vcpu in _vcpuArray)
        {
            if (vcpu == caller)
            {
                vcpu.DropWriteEntries(page);
            }
            else
            {
                vcpu.RequestFromOther(VcpuRequest.FlushWrites);
            }
        }
        WaitForOthers(caller);
    }

    /// <summary>Waits until every other vCPU has left translated code once since its request was posted.</summary>
    private void WaitForOthers(SoftVcpu? caller)
    {
        foreach (SoftVcpu vcpu in _vcpuArray)
        {
            if (vcpu != caller)
            {
                vcpu.WaitOutside();
            }
        }
    }

    /// <summary>Makes the jump of a link site go straight to its target, for all vCPUs.</summary>
    internal void Link(SoftVcpu caller, TranslationBlock from, int siteIndex, TranslationBlock to)
    {
        lock (_gate)
        {
            ref Site site = ref from.Sites[siteIndex];
            if (!from.Valid || !to.Valid || to.SecondFrame >= 0
                || ((from.Key.Mode ^ to.Key.Mode) & ~BlockMode.Ungrouped) != 0 || (to.Key.Mode & BlockMode.SingleStep) != 0)
            {
                return;
            }
            if (site.Extended)
            {
                return; // another vCPU was first, perhaps for another frame
            }
            if (to.PageVa != from.PageVa && !_linkedPages.TryAdd(to, caller.KernelTables()))
            {
                return;
            }
            AddIncoming(from, siteIndex, to);
            PatchJump(from.Code + site.Field, to.Local);
            if (site.Kind == SiteKind.FarLink)
            {
                PatchJump(from.Code + site.After, from.Code + site.Value);
                Volatile.Write(ref *(int*)(from.Code + site.Resume), -4 * (int)to.Key.Frame);
            }
        }
    }

    /// <summary>After a flush: links do not look where a page is, so those into pages that are not where they were are taken back.</summary>
    internal void VerifyLinks(LastTables tables)
    {
        lock (_gate)
        {
            foreach ((ulong page, long frame) in _linkedPages.TakeMoved(tables))
            {
                UnlinkPage(page, frame);
            }
        }
    }

    /// <summary>The same for one page.</summary>
    internal void VerifyLinks(LastTables tables, ulong page)
    {
        lock (_gate)
        {
            if (_linkedPages.TryTakeMoved(tables, page, out long frame))
            {
                UnlinkPage(page, frame);
            }
        }
    }

    private void UnlinkPage(ulong page, long frame)
    {
        foreach (TranslationBlock block in _blocks.PageOf(frame)?.Blocks ?? [])
        {
            if (block.PageVa == page)
            {
                UnlinkIncoming(block);
            }
        }
    }

    /// <summary>Takes back all links to a block.</summary>
    private void UnlinkIncoming(TranslationBlock block)
    {
        for (int link = block.Incoming; link != TranslationBlock.NoLink;)
        {
            TranslationBlock from = BlockById(SiteWord.BlockOf(link));
            ref Site site = ref from.Sites[SiteWord.SiteOf(link)];
            link = site.NextIncoming;
            Unlink(from, ref site);
        }
        block.Incoming = TranslationBlock.NoLink;
    }

    /// <summary>Puts a site into the list of those that jump to a block; it stays there until that is retired.</summary>
    private static void AddIncoming(TranslationBlock from, int siteIndex, TranslationBlock to)
    {
        ref Site site = ref from.Sites[siteIndex];
        site.Extended = true;
        site.NextIncoming = to.Incoming;
        to.Incoming = SiteWord.Of(from.Id, siteIndex);
    }

    private static void Unlink(TranslationBlock from, ref Site site)
    {
        byte* stub = from.Code + site.Stub;
        if (site.Kind is SiteKind.Link or SiteKind.FarLink)
        {
            site.Extended = false;
        }
        if (site.Kind == SiteKind.FarLink)
        {
            Volatile.Write(ref *(int*)(from.Code + site.Resume), Translator.Unlinked);
            PatchJump(from.Code + site.After, stub);
        }
        PatchJump(from.Code + site.Field, stub);
    }

    /// <summary>From now on a group's check that fails because the range crosses a page goes on in the ungrouped variant by itself.</summary>
    internal void LinkUngrouped(TranslationBlock from, int siteIndex, TranslationBlock to)
    {
        lock (_gate)
        {
            ref Site site = ref from.Sites[siteIndex];
            if (!from.Valid || !to.Valid || to.SecondFrame >= 0 || site.Extended)
            {
                return;
            }
            byte* code = _translator.TranslateCrossing(from, siteIndex, out int fallback, out int field);
            if (code == null)
            {
                return; // the cache is full: left to the next translation
            }
            byte* stub = from.Code + site.Stub;
            site.Field = (int)(code + field - from.Code);
            site.Stub = (int)(code + fallback - from.Code);
            AddIncoming(from, siteIndex, to);
            PatchJump(code + field, to.Local);
            PatchJump(stub + Translator.StubField, code);
        }
    }

    /// <summary>From now on an access that crosses a page is done by generated code when both pages are in the soft TLB.</summary>
    internal void AddSplit(TranslationBlock block, int siteIndex)
    {
        lock (_gate)
        {
            ref Site site = ref block.Sites[siteIndex];
            if (!block.Valid || site.Extended)
            {
                return;
            }
            byte* code = _translator.TranslateSplit(block, siteIndex, out int bytes);
            if (code != null)
            {
                site.Extended = true;
                _blocks.AddAside(code, bytes, block, site.Guest);
                PatchJump(block.Code + site.Stub + Translator.StubField, code);
            }
        }
    }

    private static void PatchJump(byte* field, byte* target) =>
        Volatile.Write(ref *(int*)field, (int)(target - (field + 4)));

    /// <summary>Code of a one-instruction copy on the bounce buffer.</summary>
    internal byte* GetStep(SoftVcpu caller, TranslationBlock block, int siteIndex)
    {
        lock (_gate)
        {
            block.Steps ??= [];
            if (block.Valid && block.Steps.TryGetValue(siteIndex, out nint known))
            {
                return (byte*)known;
            }
            byte* code = _translator.TranslateStep(block, block.Sites[siteIndex]);
            if (code == null)
            {
                DropAll(caller);
                code = _translator.TranslateStep(block, block.Sites[siteIndex]);
                Debug.Require(code != null, "code cache too small for one step");
            }
            block.Steps[siteIndex] = (nint)code;
            return code;
        }
    }

    // ---- invalidation --------------------------------------------------------------------------------

    /// <summary>Unlinks a block, so that nothing but what already runs in it gets there.</summary>
    private void Retire(SoftVcpu? caller, TranslationBlock block)
    {
        block.Valid = false;
        if (block.Entry != null && block.EntryJump != 0)
        {
            Volatile.Write(ref block.Entry[block.EntryJump], 0);
        }
        _blocks.Remove(block);
        UnlinkIncoming(block);
        foreach (SoftVcpu vcpu in _vcpuArray)
        {
            if (vcpu == caller)
            {
                vcpu.ForgetBlock(block);
            }
            else
            {
                vcpu.RequestFromOther(VcpuRequest.FlushJumps);
            }
        }
    }

    /// <summary>A write is about to hit a page with code; true when the page holds no code any more.</summary>
    internal bool OnCodeWrite(SoftVcpu? caller, long frame, int offset, int length)
    {
        lock (_gate)
        {
            if (!Frames.Has(frame, FrameFlags.Code))
            {
                return true;
            }
            BlockTable.Page? page = _blocks.PageOf(frame);
            bool all = page == null || ++page.Writes % MixedPageWrites == 0;
            List<TranslationBlock> stale = [];
            if (page != null)
            {
                foreach (TranslationBlock block in page.Blocks)
                {
                    if (all || (block.Low < offset + length && offset < block.High))
                    {
                        stale.Add(block);
                    }
                }
                foreach (TranslationBlock block in page.Spilling)
                {
                    if (all || offset < block.High - GuestFrames.PageSize)
                    {
                        stale.Add(block);
                    }
                }
            }
            foreach (TranslationBlock block in stale)
            {
                Retire(caller, block);
            }
            if (stale.Count > 0)
            {
                WaitForOthers(caller);
            }
            bool isFree = all || page!.IsEmpty;
            if (isFree)
            {
                Frames.Clear(frame, FrameFlags.Code);
            }
            return isFree;
        }
    }

    void ICodeWriteObserver.CodeWritten(long frameIndex, int offset, int length) =>
        OnCodeWrite(SoftVcpu.Current, frameIndex, offset, length);

    /// <summary>Forgets every translation; the code cache starts over.</summary>
    private void DropAll(SoftVcpu caller)
    {
        foreach (SoftVcpu vcpu in _vcpuArray)
        {
            if (vcpu == caller)
            {
                vcpu.ForgetJumps();
            }
            else
            {
                vcpu.RequestFromOther(VcpuRequest.FlushJumps);
            }
        }
        WaitForOthers(caller);
        Generation++;
        foreach (TranslationBlock block in _blocks.ById)
        {
            block.Valid = false;
            Frames.Clear(block.Key.Frame, FrameFlags.Code);
            if (block.SecondFrame >= 0)
            {
                Frames.Clear(block.SecondFrame, FrameFlags.Code);
            }
        }
        _blocks.Clear();
        _linkedPages.Clear();
        _cache.Clear();
    }

    public void FlushTlb(ulong vcpuMask, ulong? va)
    {
        SoftVcpu? caller = SoftVcpu.Current;
        foreach (SoftVcpu vcpu in _vcpuArray)
        {
            if (vcpu.Id >= 64 || (vcpuMask >> vcpu.Id & 1) == 0)
            {
                continue;
            }
            if (vcpu == caller)
            {
                if (va is { } page)
                {
                    vcpu.FlushPage(page);
                }
                else
                {
                    vcpu.FlushTlb();
                }
            }
            else
            {
                vcpu.RequestFromOther(VcpuRequest.FlushAll);
            }
        }
        foreach (SoftVcpu vcpu in _vcpuArray)
        {
            if (vcpu != caller && vcpu.Id < 64 && (vcpuMask >> vcpu.Id & 1) != 0)
            {
                vcpu.WaitOutside();
            }
        }
    }

    public void Dispose()
    {
        if (Options.DumpFolder is { } folder)
        {
            EngineDump.Write(folder, Frames, Routines, _blocks.ById, _vcpuArray);
        }
        HostSignals.Unregister(_cache);
        foreach (SoftVcpu vcpu in _vcpuArray)
        {
            vcpu.Dispose();
        }
        _cache.Dispose();
        _store?.Dispose();
        _journal?.Dispose();
    }
}
