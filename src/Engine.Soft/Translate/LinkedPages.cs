using System.Collections.Generic;
using Ryokan.Engine.Soft.Memory;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Pages of kernel code that links from other pages lead to, page address to frame. A link is good for all vCPUs and looks at nothing, so a page is
/// walked to when the first link is made, not taken from what a vCPU still has, and again at each flush of any vCPU: in its address space. Guarded by the
/// engine's lock.
/// </summary>
internal sealed class LinkedPages
{
    private readonly Dictionary<ulong, long> _frames = [];
    private readonly List<(ulong Page, long Frame)> _moved = [];

    /// <summary>True when a block may be linked to from other pages.</summary>
    public bool TryAdd(TranslationBlock block, LastTables tables)
    {
        if (_frames.TryGetValue(block.PageVa, out long frame))
        {
            return frame == block.Key.Frame; // else somebody is about to flush
        }
        bool isThere = tables.IsExecutable(block.PageVa, block.Key.Frame);
        if (isThere)
        {
            _frames.Add(block.PageVa, block.Key.Frame);
        }
        return isThere;
    }

    /// <summary>Removes and returns the pages that are not where they were; good until the next call.</summary>
    public List<(ulong Page, long Frame)> TakeMoved(LastTables tables)
    {
        _moved.Clear();
        foreach ((ulong page, long frame) in _frames)
        {
            if (!tables.IsExecutable(page, frame))
            {
                _moved.Add((page, frame));
            }
        }
        foreach ((ulong page, _) in _moved)
        {
            _frames.Remove(page);
        }
        return _moved;
    }

    /// <summary>Removes a page when it is not where it was.</summary>
    public bool TryTakeMoved(LastTables tables, ulong page, out long frame) =>
        _frames.TryGetValue(page, out frame) && !tables.IsExecutable(page, frame) && _frames.Remove(page);

    public void Clear() => _frames.Clear();
}
