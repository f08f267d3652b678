using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ryokan.Engine.Soft.Stored;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Translations that outlive the process: what <see cref="Translate(bool, long)"/> leaves in the buffers, as bytes and back. Nothing in it
/// depends on where code, tables or frames lie; <see cref="Finish"/> puts that in.
/// </summary>
internal sealed unsafe partial class Translator
{
    /// <summary>Words of a <see cref="Site"/>: a record has a mask of those that are not zero, and those.</summary>
    private static readonly int SiteWords = sizeof(Site) / sizeof(uint);

    /// <summary>True when the last translation could be one of another process: it is of one page and runs more than one instruction.</summary>
    private bool IsStorable => _high <= PageSize && (_key.Mode & BlockMode.SingleStep) == 0;

    /// <summary>Bytes of the longest instruction: so many beyond those that a translation rests on decide at a page's end that it ends before one.</summary>
    public const int LongestInstruction = 15;

    private readonly List<Extent> _extents = [];

    /// <summary>Notes what the last translation was made of.</summary>
    public void Note(TranslationJournal journal)
    {
        if (!IsStorable)
        {
            return;
        }
        _rests.Add(_key.Offset, Math.Min(TranslationStore.HashedBytes, PageSize - _key.Offset));
        if (_high > PageSize - LongestInstruction && _high < PageSize)
        {
            _rests.Add(_high, PageSize - _high);
        }
        _rests.CopyTo(_extents);
        journal.Add(new NotedTranslation(_key.Mode, _key.Offset, _pageVa, _hasEntry), CollectionsMarshal.AsSpan(_extents), _bytes);
    }

    /// <summary>Translates what a journal noted; returns the record for a store, empty when there can be none.</summary>
    /// <param name="page">4096 bytes, those noted at their place</param>
    public ReadOnlySpan<byte> Record(in NotedTranslation noted, ReadOnlySpan<byte> page)
    {
        _key = new BlockKey(0, noted.Offset, noted.Mode);
        _pageVa = noted.PageVa;
        page.CopyTo(_bytes);
        _bytes.AsSpan(PageSize).Clear();
        Translate(noted.HasEntry, -1);
        return IsStorable ? Save(page) : default;
    }

    private byte[] _record = [];

    private ReadOnlySpan<byte> Save(ReadOnlySpan<byte> page)
    {
        int most = sizeof(StoredBlock) + 2 * PageSize + _w.Length + _siteCount * (sizeof(Site) + 2) + _map.Count * 4
            + _siteWords.Count * 2 + _external.Count * 6 + 8;
        if (_record.Length < most)
        {
            _record = new byte[most];
        }
        _rests.CopyTo(_extents);
        var to = new RecordWriter(_record, sizeof(StoredBlock));
        foreach (Extent extent in _extents)
        {
            to.UInt16(extent.Start);
            to.UInt16(extent.Length);
        }
        foreach (Extent extent in _extents)
        {
            to.Bytes(page.Slice(extent.Start, extent.Length));
        }
        int source = to.Length - sizeof(StoredBlock);
        to.Bytes(_w.Bytes);
        for (int n = 0; n < _siteCount; n++)
        {
            ReadOnlySpan<uint> words = MemoryMarshal.Cast<Site, uint>(_sites.AsSpan(n, 1));
            int mask = 0;
            for (int i = 0; i < words.Length; i++)
            {
                mask |= words[i] != 0 ? 1 << i : 0;
            }
            to.UInt16(mask);
            foreach (uint word in words)
            {
                if (word != 0)
                {
                    to.UInt32(word);
                }
            }
        }
        foreach (uint entry in _map)
        {
            to.UInt32(entry);
        }
        foreach (int at in _siteWords)
        {
            to.UInt16(at);
        }
        foreach ((int field, nint target) in _external)
        {
            to.UInt16(field);
            to.UInt32((uint)(target - (nint)_cache.Start));
        }
        int bytes = to.End(StoredBlock.Alignment);
        Unsafe.As<byte, StoredBlock>(ref _record[0]) = new StoredBlock
        {
            Bytes = bytes, Hash = TranslationStore.Hash(_key.Mode, _key.Offset, _pageVa, page), PageVa = _pageVa, Offset = (ushort)_key.Offset, Mode = (byte)_key.Mode, HasEntry = _hasEntry ? (byte)1 : (byte)0,
            Low = (ushort)_low, High = (ushort)_high, Extents = (ushort)_extents.Count, Source = (ushort)source, Code = (ushort)_w.Length, Local = (ushort)_local, EntryJump = (ushort)_entryJump,
            EntryFrame = (ushort)_entryFrame, Sites = (ushort)_siteCount, Map = (ushort)_map.Count, SiteWords = (ushort)_siteWords.Count,
            Externals = (ushort)_external.Count,
        };
        StoredBlock.Seal(_record.AsSpan(0, bytes));
        return _record.AsSpan(0, bytes);
    }

    /// <summary>Makes a block for <paramref name="key"/> of a record that <see cref="TranslationStore"/> found for it; null when the code cache is full.</summary>
    public TranslationBlock? Load(ReadOnlySpan<byte> record, in BlockKey key, ulong pageVa, int id)
    {
        ref readonly StoredBlock head = ref StoredBlock.Of(record);
        (_key, _pageVa) = (key, pageVa);
        (_low, _high, _local) = (head.Low, head.High, head.Local);
        (_entryJump, _entryFrame, _hasEntry) = (head.EntryJump, head.EntryFrame, head.HasEntry != 0);
        var from = new RecordReader(record, sizeof(StoredBlock) + head.Source);
        _w.Reset();
        _w.Raw(from.Bytes(head.Code));
        _siteCount = head.Sites;
        Span<uint> words = MemoryMarshal.Cast<Site, uint>(_sites.AsSpan(0, _siteCount));
        for (int n = 0; n < words.Length; n += SiteWords)
        {
            int mask = from.UInt16();
            for (int i = 0; i < SiteWords; i++, mask >>= 1)
            {
                words[n + i] = (mask & 1) != 0 ? from.UInt32() : 0;
            }
        }
        CollectionsMarshal.SetCount(_map, head.Map);
        MemoryMarshal.Cast<byte, uint>(from.Bytes(head.Map * sizeof(uint))).CopyTo(CollectionsMarshal.AsSpan(_map));
        _siteWords.Clear();
        for (int n = 0; n < head.SiteWords; n++)
        {
            _siteWords.Add(from.UInt16());
        }
        _external.Clear();
        for (int n = 0; n < head.Externals; n++)
        {
            int field = from.UInt16();
            _external.Add((field, (nint)_cache.Start + (nint)from.UInt32()));
        }
        return Finish(-1, id);
    }
}
