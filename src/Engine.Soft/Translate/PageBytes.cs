using System;
using System.Collections.Generic;
using System.Numerics;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>A run of bytes of a page.</summary>
internal readonly record struct Extent(int Start, int Length);

/// <summary>A set of bytes of a page, and of the first few of the next one.</summary>
internal sealed class PageBytes
{
    private const int WordBits = 64, NextPage = 16;

    private readonly ulong[] _words = new ulong[(GuestFrames.PageSize + NextPage + WordBits - 1) / WordBits];

    public void Clear() => Array.Clear(_words);

    /// <summary>Adds a run of at most 64 bytes.</summary>
    public void Add(int start, int length)
    {
        ulong run = ulong.MaxValue >> (WordBits - length);
        int word = start / WordBits, bit = start % WordBits;
        _words[word] |= run << bit;
        if (bit + length > WordBits)
        {
            _words[word + 1] |= run >> (WordBits - bit);
        }
    }

    /// <summary>The first byte, and one behind the last; (0, 0) of an empty set.</summary>
    public (int Low, int High) Range
    {
        get
        {
            int first = _words.AsSpan().IndexOfAnyExcept(0UL), last = _words.AsSpan().LastIndexOfAnyExcept(0UL);
            return first < 0 ? (0, 0) : (first * WordBits + BitOperations.TrailingZeroCount(_words[first]),
                last * WordBits + WordBits - BitOperations.LeadingZeroCount(_words[last]));
        }
    }

    /// <summary>The runs, ascending, in place of what the list has.</summary>
    public void CopyTo(List<Extent> extents)
    {
        extents.Clear();
        int start = -1;
        for (int word = 0; word < _words.Length; word++)
        {
            ulong changes = start < 0 ? _words[word] : ~_words[word];
            while (changes != 0)
            {
                int bit = BitOperations.TrailingZeroCount(changes);
                int at = word * WordBits + bit;
                if (start < 0)
                {
                    start = at;
                }
                else
                {
                    extents.Add(new Extent(start, at - start));
                    start = -1;
                }
                changes = (start < 0 ? _words[word] : ~_words[word]) & (ulong.MaxValue << bit);
            }
        }
        if (start >= 0)
        {
            extents.Add(new Extent(start, _words.Length * WordBits - start));
        }
    }
}
