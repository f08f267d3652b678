using System.Runtime.CompilerServices;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>
/// Looks whether many pages are still where they were, in one address space: of the page walk it remembers the last tables, for 2 MiB each, of
/// which there are few.
/// </summary>
internal unsafe ref struct LastTables
{
    private const int Known = 32;

    [InlineArray(Known)]
    private struct Places
    {
        private ulong _first;
    }

    private readonly PageWalker _walker;
    private readonly ulong _root;

    /// <summary>One more than the numbers of the 2 MiB; 0: none yet.</summary>
    private Places _places;
    private Places _tables;

    public LastTables(PageWalker walker, ulong root)
    {
        _walker = walker;
        _root = root;
    }

    /// <summary>True when code may run at a page's address from a frame.</summary>
    public bool IsExecutable(ulong page, long frame)
    {
        ulong place = (page >> 21) + 1;
        int n = (int)place & (Known - 1);
        if (_places[n] != place)
        {
            _tables[n] = (ulong)_walker.LastTable(_root, page);
            _places[n] = place;
        }
        return _walker.IsExecutable((ulong*)_tables[n], page, frame);
    }
}
