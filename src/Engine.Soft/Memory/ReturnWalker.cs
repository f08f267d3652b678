using System.Runtime.CompilerServices;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>
/// Walks to many pages below the hole in one address space (Intel SDM vol. 3, 4.5), as long as everything on the way is as it should be: present,
/// marked accessed, RAM. Remembers the last tables, for 2 MiB each. Sets no bits: what is not plainly there is for <see cref="PageWalker"/>.
/// </summary>
internal unsafe ref struct ReturnWalker
{
    private const int Known = 32;
    private const ulong Needed = PageTableEntry.Present | PageTableEntry.Accessed;

    [InlineArray(Known)]
    private struct Words
    {
        private ulong _first;
    }

    private readonly GuestFrames _frames;
    private readonly ulong _root;

    /// <summary>One more than the number of the 2 MiB (0: none yet); the table's host address (0: there is none); what the levels above allow.</summary>
    private Words _places, _tables, _above;

    public ReturnWalker(GuestFrames frames, ulong root)
    {
        _frames = frames;
        _root = root;
    }

    /// <summary>
    /// The frame of a page, and its entry with only those of the bits Writable and NoExecute that hold on the whole way.
    /// </summary>
    public bool TryWalk(ulong page, out long frame, out ulong entry)
    {
        frame = 0;
        entry = 0;
        ulong place = (page >> 21) + 1;
        int n = (int)place & (Known - 1);
        if (_places[n] != place)
        {
            _places[n] = place;
            _tables[n] = LastTable(page, out ulong above);
            _above[n] = above;
        }
        if (_tables[n] == 0)
        {
            return false;
        }
        entry = Volatile.Read(ref ((ulong*)_tables[n])[PageTableEntry.Index(page, 1)]);
        if ((entry & Needed) != Needed)
        {
            return false;
        }
        entry = (entry & (_above[n] | ~PageTableEntry.Writable)) | (_above[n] & PageTableEntry.NoExecute);
        frame = _frames.IndexOf(PageTableEntry.Frame(entry));
        return frame >= 0 && !_frames.Has(frame, FrameFlags.Absent);
    }

    private readonly ulong LastTable(ulong page, out ulong above)
    {
        above = PageTableEntry.Writable;
        var table = (ulong*)_frames.Frame(_root);
        for (int level = 4; level > 1 && table != null; level--)
        {
            ulong entry = Volatile.Read(ref table[PageTableEntry.Index(page, level)]);
            bool leads = (entry & Needed) == Needed && (level == 4 || (entry & PageTableEntry.PageSize) == 0);
            above = (above & (entry | ~PageTableEntry.Writable)) | (entry & PageTableEntry.NoExecute);
            table = leads ? (ulong*)_frames.Frame(PageTableEntry.Frame(entry)) : null;
        }
        return (ulong)table;
    }
}
