using System.Collections.Generic;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>All valid translations, by physical page; guarded by the engine's lock.</summary>
internal sealed class BlockTable
{
    /// <summary>Translations of one page.</summary>
    internal sealed class Page
    {
        public Dictionary<int, TranslationBlock> Blocks { get; } = [];

        /// <summary>Blocks that start in the page before and end in this one.</summary>
        public List<TranslationBlock> Spilling { get; } = [];

        public bool IsEmpty => Blocks.Count == 0 && Spilling.Count == 0;

        /// <summary>Writes that hit the page while it held code.</summary>
        public int Writes { get; set; }
    }

    private readonly Page?[] _pages;
    private readonly List<TranslationBlock> _byId = [];

    /// <summary>Blocks in the order of their code addresses (the code cache grows upwards).</summary>
    public List<TranslationBlock> ById => _byId;

    public BlockTable(GuestFrames frames) => _pages = new Page?[frames.TotalFrames];

    public Page? PageOf(long frame) => _pages[frame];

    public Page Ensure(long frame) => _pages[frame] ??= new Page();

    private static int Slot(int offset, BlockMode mode) => offset << 8 | (int)mode;

    public TranslationBlock? Find(in BlockKey key, ulong pageVa, long secondFrame)
    {
        if (_pages[key.Frame] is { } page
            && page.Blocks.TryGetValue(Slot(key.Offset, key.Mode), out TranslationBlock? block)
            && block.PageVa == pageVa && (block.SecondFrame < 0 || block.SecondFrame == secondFrame))
        {
            return block;
        }
        return null;
    }

    /// <summary>Adds a block; returns the one it displaced (same place, other address), if any.</summary>
    public TranslationBlock? Add(TranslationBlock block)
    {
        Page page = Ensure(block.Key.Frame);
        int slot = Slot(block.Key.Offset, block.Key.Mode);
        page.Blocks.Remove(slot, out TranslationBlock? old);
        page.Blocks.Add(slot, block);
        if (block.SecondFrame >= 0)
        {
            Ensure(block.SecondFrame).Spilling.Add(block);
        }
        _byId.Add(block);
        return old;
    }

    public void Remove(TranslationBlock block)
    {
        Page page = _pages[block.Key.Frame]!;
        int slot = Slot(block.Key.Offset, block.Key.Mode);
        if (page.Blocks.TryGetValue(slot, out TranslationBlock? there) && there == block)
        {
            page.Blocks.Remove(slot);
        }
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
