using System;
using System.Collections.Generic;
using System.Linq;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>
/// The pages that a vCPU used of one address space until it went to another: when it comes back it looks them all up at once, which costs less
/// than to miss them one by one. Nothing but their addresses is kept; where they are now is for the page tables to say.
/// </summary>
internal sealed class KeptPages
{
    /// <summary>Of each kind: what is used beyond them is found when it is missed.</summary>
    public const int Most = 256;

    /// <summary>So often pages that are not used any more may come along.</summary>
    private const int MostReturns = 16;

    private int _returns;

    public List<ulong> Read { get; } = [];

    public List<ulong> Write { get; } = [];

    public List<ulong> Code { get; } = [];

    public static void Keep(List<ulong> pages, ulong page)
    {
        if (pages.Count < Most)
        {
            pages.Add(page);
        }
    }

    public void Clear()
    {
        Read.Clear();
        Write.Clear();
        Code.Clear();
    }

    /// <summary>True when they are to be looked up now: not every time, so that what is kept next is once in a while what was really used.</summary>
    public bool TryReturn()
    {
        _returns = (_returns + 1) % MostReturns;
        return _returns != 0;
    }
}

/// <summary>The pages kept of the address spaces that a vCPU was in last.</summary>
internal sealed class KeptSpaces
{
    private const int Spaces = 16;

    private readonly ulong[] _roots = new ulong[Spaces];
    private readonly long[] _left = new long[Spaces];
    private readonly KeptPages?[] _pages = new KeptPages?[Spaces];
    private long _now;

    /// <summary>Empty lists for the address space of a root that is being left, in the place of what was kept of it, or of that left longest ago.</summary>
    public KeptPages Leave(ulong root)
    {
        int at = Array.IndexOf(_roots, root);
        if (at < 0)
        {
            at = Array.IndexOf(_left, _left.Min());
            _pages[at] = null;
        }
        _roots[at] = root;
        _left[at] = ++_now;
        KeptPages pages = _pages[at] ??= new KeptPages();
        pages.Clear();
        return pages;
    }

    /// <summary>What was kept of an address space; null when it was never left, or too long ago.</summary>
    public KeptPages? Find(ulong root)
    {
        int at = Array.IndexOf(_roots, root);
        return at >= 0 ? _pages[at] : null;
    }
}
