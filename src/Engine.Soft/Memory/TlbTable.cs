using System;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>
/// One direct-mapped soft TLB table in a vCPU's block: {tag, host page} by page number. Generated code looks entries up; only C# on the
/// vCPU's own thread changes them. Remembers which entries are in use, so that a flush costs what was filled since the last one.
/// </summary>
internal sealed unsafe class TlbTable
{
    /// <summary>With more entries in use than this the whole table is swept.</summary>
    private const int MaxRemembered = 1024;

    private readonly byte* _start;
    private readonly ushort[] _used = new ushort[MaxRemembered];
    private int _usedCount;

    /// <param name="start">the table's <see cref="VcpuArea.TlbTableBytes"/> bytes, which outlive this object</param>
    public TlbTable(byte* start)
    {
        _start = start;
        Sweep(lowerHalfOnly: false);
    }

    private static int IndexOf(ulong va) => (int)(va >> 12) & (VcpuArea.TlbEntries - 1);

    private ulong* Entry(int index) => (ulong*)(_start + index * VcpuArea.TlbEntryBytes);

    public void Set(ulong va, byte* hostPage)
    {
        int index = IndexOf(va);
        ulong* entry = Entry(index);
        if (entry[0] == VcpuArea.EmptyTag)
        {
            if (_usedCount < MaxRemembered)
            {
                _used[_usedCount] = (ushort)index;
            }
            _usedCount++;
        }
        entry[0] = va & ~0xfffUL;
        entry[VcpuArea.TlbHost / 8] = (ulong)hostPage;
    }

    /// <summary>Host address of a guest address, or null.</summary>
    public byte* Probe(ulong va)
    {
        ulong* entry = Entry(IndexOf(va));
        return entry[0] == (va & ~0xfffUL) ? (byte*)entry[VcpuArea.TlbHost / 8] + (va & 0xfff) : null;
    }

    /// <summary>Forgets one page (its address).</summary>
    public void Remove(ulong page)
    {
        ulong* entry = Entry(IndexOf(page));
        if (entry[0] == page)
        {
            entry[0] = VcpuArea.EmptyTag;
        }
    }

    /// <summary>Forgets a page by where it lies on the host.</summary>
    public void RemoveHostPage(byte* hostPage)
    {
        for (int index = 0; index < VcpuArea.TlbEntries; index++)
        {
            if (Entry(index)[VcpuArea.TlbHost / 8] == (ulong)hostPage)
            {
                Entry(index)[0] = VcpuArea.EmptyTag;
            }
        }
    }

    public void Clear()
    {
        if (_usedCount > MaxRemembered)
        {
            Sweep(lowerHalfOnly: false);
            return;
        }
        foreach (ushort index in _used.AsSpan(0, _usedCount))
        {
            Entry(index)[0] = VcpuArea.EmptyTag;
        }
        _usedCount = 0;
    }

    /// <summary>Forgets addresses below the hole: tags with a clear top bit.</summary>
    public void ClearLowerHalf()
    {
        if (_usedCount > MaxRemembered)
        {
            Sweep(lowerHalfOnly: true);
            return;
        }
        int kept = 0;
        for (int n = 0; n < _usedCount; n++)
        {
            ulong* entry = Entry(_used[n]);
            if ((long)entry[0] >= 0)
            {
                entry[0] = VcpuArea.EmptyTag;
            }
            else if (entry[0] != VcpuArea.EmptyTag)
            {
                _used[kept++] = _used[n];
            }
        }
        _usedCount = kept;
    }

    private void Sweep(bool lowerHalfOnly)
    {
        _usedCount = 0;
        for (int index = 0; index < VcpuArea.TlbEntries; index++)
        {
            ulong* entry = Entry(index);
            if (!lowerHalfOnly || (long)entry[0] >= 0)
            {
                entry[0] = VcpuArea.EmptyTag;
            }
            else if (entry[0] != VcpuArea.EmptyTag)
            {
                if (_usedCount < MaxRemembered)
                {
                    _used[_usedCount] = (ushort)index;
                }
                _usedCount++;
            }
        }
    }
}
