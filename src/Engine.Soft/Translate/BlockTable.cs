using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>All valid translations, by physical page; guarded by the engine's lock.</summary>
internal sealed class BlockTable
{
    private const int Chains = 32;

    /// <summary>The first block of each chain; the others follow by <see cref="TranslationBlock.NextInPage"/>.</summary>
    [InlineArray(Chains)]
    private struct ChainHeads
    {
        private TranslationBlock? _first;
    }

    /// <summary>Translations of one page.</summary>
    internal sealed class Page
    {
        private ChainHeads _chains;

        /// <summary>Writes that hit the page while it held code.</summary>
        public int Writes { get; set; }

        /// <summary>Blocks that start in the page before and end in this one.</summary>
        public List<TranslationBlock> Spilling { get; } = [];

        private int _count;

        public bool IsEmpty => _count == 0 && Spilling.Count == 0;

        public IEnumerable<TranslationBlock> Blocks
        {
            get
            {
                for (int n = 0; n < Chains; n++)
                {
                    for (TranslationBlock? block = _chains[n]; block != null; block = block.NextInPage)
                    {
                        yield return block;
                    }
                }
            }
        }

        private ref TranslationBlock? ChainOf(int offset) => ref _chains[(offset ^ offset >> 5) & (Chains - 1)];

        public TranslationBlock? Find(int offset, BlockMode mode)
        {
            TranslationBlock? block = ChainOf(offset);
            while (block != null && (block.Key.Offset != offset || block.Key.Mode != mode))
            {
                block = block.NextInPage;
            }
            return block;
        }

        public void Add(TranslationBlock block)
        {
            ref TranslationBlock? first = ref ChainOf(block.Key.Offset);
            block.NextInPage = first;
            first = block;
            _count++;
        }

        public void Remove(TranslationBlock block)
        {
            ref TranslationBlock? link = ref ChainOf(block.Key.Offset);
            while (link != null && link != block)
            {
                link = ref link.NextInPage;
            }
            if (link != null)
            {
                link = block.NextInPage;
                block.NextInPage = null;
                _count--;
            }
        }
    }

    private readonly Page?[] _pages;
    private readonly List<TranslationBlock> _byId = [];

    /// <summary>Blocks in the order of their code addresses (the code cache grows upwards).</summary>
    public List<TranslationBlock> ById => _byId;

    public BlockTable(GuestFrames frames) => _pages = new Page?[frames.TotalFrames];

    public Page? PageOf(long frame) => _pages[frame];

    public Page Ensure(long frame) => _pages[frame] ??= new Page();

    public TranslationBlock? Find(in BlockKey key, ulong pageVa, long secondFrame)
    {
        TranslationBlock? block = _pages[key.Frame]?.Find(key.Offset, key.Mode);
        return block != null && block.PageVa == pageVa && (block.SecondFrame < 0 || block.SecondFrame == secondFrame) ? block : null;
    }

    /// <summary>Adds a block; returns the one it displaced (same place, other address), if any.</summary>
    public TranslationBlock? Add(TranslationBlock block)
    {
        Page page = Ensure(block.Key.Frame);
        TranslationBlock? old = page.Find(block.Key.Offset, block.Key.Mode);
        if (old != null)
        {
            page.Remove(old);
        }
        page.Add(block);
        if (block.SecondFrame >= 0)
        {
            Ensure(block.SecondFrame).Spilling.Add(block);
        }
        _byId.Add(block);
        return old;
    }

    public void Remove(TranslationBlock block)
    {
        _pages[block.Key.Frame]!.Remove(block);
        if (block.SecondFrame >= 0)
        {
            _pages[block.SecondFrame]?.Spilling.Remove(block);
        }
    }

    public void Clear()
    {
        System.Array.Clear(_pages);
        _byId.Clear();
        _aside.Clear();
    }

    /// <summary>Code of one instruction that lies outside its block, in the order of its address.</summary>
    private readonly List<(nint Code, int Bytes, TranslationBlock Block, int Offset)> _aside = [];

    public unsafe void AddAside(byte* code, int bytes, TranslationBlock block, int offset) => _aside.Add(((nint)code, bytes, block, offset));

    /// <summary>The block and the page offset of the instruction that a host address belongs to.</summary>
    public unsafe (TranslationBlock? Block, int Offset) PlaceOf(byte* pc)
    {
        if (AtHost(pc) is { } block)
        {
            return (block, block.GuestOffsetAt(pc));
        }
        foreach ((nint code, int bytes, TranslationBlock owner, int offset) in _aside)
        {
            if ((nint)pc >= code && (nint)pc < code + bytes)
            {
                return (owner, offset);
            }
        }
        return (null, 0);
    }

    private unsafe TranslationBlock? AtHost(byte* pc)
    {
        int low = 0, high = _byId.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) >> 1;
            if (_byId[middle].Code <= pc)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }
        return high >= 0 && pc >= _byId[low].Code && pc < _byId[low].Code + _byId[low].CodeBytes ? _byId[low] : null;
    }
}
