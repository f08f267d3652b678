using System.Collections.Generic;
using System.Linq;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>All valid translations, by physical page; guarded by the engine's lock.</summary>
internal sealed class BlockTable
{
    /// <summary>Translations of one page: a hash table with open addressing, whose keys lie together.</summary>
    internal sealed class Page
    {
        private const uint Empty = 0, Removed = uint.MaxValue;

        private uint[] _keys = new uint[16];
        private TranslationBlock?[] _blocks = new TranslationBlock?[16];
        private int _used, _count;

        /// <summary>Writes that hit the page while it held code.</summary>
        public int Writes { get; set; }

        /// <summary>Blocks that start in the page before and end in this one.</summary>
        public List<TranslationBlock> Spilling { get; } = [];

        public bool IsEmpty => _count == 0 && Spilling.Count == 0;

        public IEnumerable<TranslationBlock> Blocks => _blocks.OfType<TranslationBlock>();

        private static uint KeyOf(int offset, BlockMode mode) => (uint)(offset << 8 | (int)mode) + 1;

        /// <summary>Where a key is, or the first free place for it.</summary>
        private int PlaceOf(uint key)
        {
            int mask = _keys.Length - 1;
            for (int at = (int)(key >> 8 ^ key >> 12) & mask, free = -1; ; at = (at + 1) & mask)
            {
                if (_keys[at] == key)
                {
                    return at;
                }
                if (_keys[at] == Removed && free < 0)
                {
                    free = at;
                }
                if (_keys[at] == Empty)
                {
                    return free >= 0 ? free : at;
                }
            }
        }

        public TranslationBlock? Find(int offset, BlockMode mode) => _blocks[PlaceOf(KeyOf(offset, mode))];

        /// <summary>Adds a block; returns the one of the same key that it displaced, if any.</summary>
        public TranslationBlock? Add(TranslationBlock block)
        {
            if (_used * 4 >= _keys.Length * 3)
            {
                Resize(_count * 2 >= _keys.Length ? _keys.Length * 2 : _keys.Length);
            }
            uint key = KeyOf(block.Key.Offset, block.Key.Mode);
            int at = PlaceOf(key);
            TranslationBlock? old = _blocks[at];
            _used += _keys[at] == Empty ? 1 : 0;
            _count += old == null ? 1 : 0;
            _keys[at] = key;
            _blocks[at] = block;
            return old;
        }

        public void Remove(TranslationBlock block)
        {
            int at = PlaceOf(KeyOf(block.Key.Offset, block.Key.Mode));
            if (_blocks[at] == block)
            {
                _keys[at] = Removed;
                _blocks[at] = null;
                _count--;
            }
        }

        private void Resize(int places)
        {
            TranslationBlock?[] blocks = _blocks;
            _keys = new uint[places];
            _blocks = new TranslationBlock?[places];
            _used = _count;
            foreach (TranslationBlock? block in blocks)
            {
                if (block != null)
                {
                    uint key = KeyOf(block.Key.Offset, block.Key.Mode);
                    int at = PlaceOf(key);
                    _keys[at] = key;
                    _blocks[at] = block;
                }
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
        TranslationBlock? old = Ensure(block.Key.Frame).Add(block);
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
