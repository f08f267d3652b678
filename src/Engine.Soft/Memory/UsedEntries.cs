using System;

namespace Ryokan.Engine.Soft.Memory;

/// <summary>
/// Numbers of a table's entries that were filled since the last flush, so that the next costs what was filled. In the vCPU's block, where
/// machine code adds to it too: how many (32 bits), and <see cref="VcpuArea.UsedList"/> bytes on the numbers (16 bits each).
/// </summary>
internal readonly unsafe struct UsedEntries(byte* list)
{
    private ref int Count => ref *(int*)list;

    /// <summary>With more entries in use than are remembered the whole table is swept.</summary>
    public bool AreMany => Count > VcpuArea.MostUsed;

    public bool AreNone => Count == 0;

    public ReadOnlySpan<ushort> Entries => new(list + VcpuArea.UsedList, Count);

    public void Add(int index)
    {
        if (Count < VcpuArea.MostUsed)
        {
            ((ushort*)(list + VcpuArea.UsedList))[Count] = (ushort)index;
        }
        Count = Math.Min(Count + 1, VcpuArea.MostUsed + 1);
    }

    public void Clear() => Count = 0;
}
