using System;
using System.Threading;
using Ryokan.X86;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>
/// Walks to many pages of one address space (Intel SDM vol. 3, 4.5) and sets no bits: remembers the last tables on the way, for 2 MiB each, of which
/// there are few. What it remembers is good until the tables may have changed.
/// </summary>
internal sealed unsafe class LastTables(PageWalker walker)
{
    private const int Known = 32;

    private ulong _root;

    /// <summary>One more than the number of the 2 MiB (0: none yet); host address of the table (0: there is none); what the levels above have.</summary>
    private readonly ulong[] _places = new ulong[Known], _tables = new ulong[Known], _ways = new ulong[Known];

    /// <summary>Forgets everything; from now on in the address space of a root.</summary>
    public LastTables Begin(ulong root)
    {
        _root = root;
        Array.Clear(_places);
        return this;
    }

    /// <summary>Where a page's last entry is; null when there is no table for it. <paramref name="way"/>: as <see cref="PageWalker.LastTable"/> says.</summary>
    public ulong* Entry(ulong page, out ulong way)
    {
        ulong place = (page >> 21) + 1;
        int n = (int)place & (Known - 1);
        if (_places[n] != place)
        {
            _tables[n] = (ulong)walker.LastTable(_root, page, out _ways[n]);
            _places[n] = place;
        }
        way = _ways[n];
        return _tables[n] != 0 ? (ulong*)_tables[n] + PageTableEntry.Index(page, 1) : null;
    }

    /// <summary>True when code may run at a page's address from a frame.</summary>
    public bool IsExecutable(ulong page, long frame)
    {
        ulong* entry = Entry(page, out ulong way);
        return entry != null && (way & PageTableEntry.NoExecute) == 0 && walker.IsExecutable(Volatile.Read(ref *entry), frame);
    }
}
