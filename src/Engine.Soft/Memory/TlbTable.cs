using System;
using System.Collections.Generic;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>
/// One direct-mapped soft TLB table in a vCPU's block: {minus the page's address, host page} by page number, between entries of another
/// table. Generated code looks entries up;
/// only the vCPU's own thread changes them, here or in <see cref="Emit.Routines.Fill"/>. Remembers which entries are in use, so that a flush
/// costs what was filled since the last one.
/// </summary>
internal sealed unsafe class TlbTable
{
    private readonly byte* _start;

    /// <summary>Entries in use, apart for addresses below and above the hole: a switch of address spaces forgets the lower ones only.</summary>
    private readonly UsedEntries _lower, _upper;

    /// <param name="area">the vCPU's block, which outlives this object</param>
    /// <param name="table">offset of the table in it</param>
    public TlbTable(byte* area, int table)
    {
        _start = area + table;
        _lower = new UsedEntries(area + VcpuArea.UsedEntries(table, lower: true));
        _upper = new UsedEntries(area + VcpuArea.UsedEntries(table, lower: false));
        for (int index = 0; index < VcpuArea.TlbEntries; index++)
        {
            Tag(index) = VcpuArea.EmptyTag;
        }
    }

    private static int IndexOf(ulong va) => (int)(va >> 12) & (VcpuArea.TlbEntries - 1);

    private ref ulong Tag(int index) => ref *(ulong*)(_start + index * VcpuArea.TlbEntryBytes);

    private ref ulong Host(int index) => ref *(ulong*)(_start + index * VcpuArea.TlbEntryBytes + VcpuArea.TlbHost);

    public void Set(ulong va, byte* hostPage)
    {
        int index = IndexOf(va);
        ref ulong tag = ref Tag(index);
        bool lower = IsLower(va);
        if (tag == VcpuArea.EmptyTag || IsLower(0 - tag) != lower)
        {
            (lower ? _lower : _upper).Add(index);
        }
        tag = 0 - (va & ~0xfffUL);
        Host(index) = (ulong)hostPage;
    }

    /// <summary>Host address of a guest address, or null.</summary>
    public byte* Probe(ulong va)
    {
        int index = IndexOf(va);
        return Tag(index) + (va & ~0xfffUL) == 0 ? (byte*)Host(index) + (va & 0xfff) : null;
    }

    /// <summary>Forgets one page (its address).</summary>
    public void Remove(ulong page)
    {
        ref ulong tag = ref Tag(IndexOf(page));
        if (tag + page == 0)
        {
            tag = VcpuArea.EmptyTag;
        }
    }

    /// <summary>Forgets a page by where it lies on the host.</summary>
    public void RemoveHostPage(byte* hostPage)
    {
        if (_lower.AreMany || _upper.AreMany)
        {
            for (int index = 0; index < VcpuArea.TlbEntries; index++)
            {
                RemoveHostPage(index, hostPage);
            }
            return;
        }
        RemoveHostPage(_lower, hostPage);
        RemoveHostPage(_upper, hostPage);
    }

    private void RemoveHostPage(UsedEntries used, byte* hostPage)
    {
        foreach (ushort index in used.Entries)
        {
            RemoveHostPage(index, hostPage);
        }
    }

    private void RemoveHostPage(int index, byte* hostPage)
    {
        if (Host(index) == (ulong)hostPage)
        {
            Tag(index) = VcpuArea.EmptyTag;
        }
    }

    private static bool IsLower(ulong va) => (long)va >= 0;

    public void Clear()
    {
        Forget(_lower, lower: true);
        Forget(_upper, lower: false);
    }

    /// <summary>Forgets addresses below the hole, and says which they were, when they are not too many.</summary>
    public void ClearLowerHalf(List<ulong> pages)
    {
        if (!_lower.AreMany)
        {
            foreach (ushort index in _lower.Entries)
            {
                ulong page = 0 - Tag(index);
                if (IsLower(page))
                {
                    KeptPages.Keep(pages, page);
                }
            }
        }
        Forget(_lower, lower: true);
    }

    private void Forget(UsedEntries used, bool lower)
    {
        if (used.AreMany)
        {
            for (int index = 0; index < VcpuArea.TlbEntries; index++)
            {
                Forget(index, lower);
            }
        }
        else
        {
            foreach (ushort index in used.Entries)
            {
                Forget(index, lower);
            }
        }
        used.Clear();
    }

    private void Forget(int index, bool lower)
    {
        ref ulong tag = ref Tag(index);
        if (IsLower(0 - tag) == lower)
        {
            tag = VcpuArea.EmptyTag;
        }
    }
}
