using System;
using System.Globalization;
using System.Text;

namespace Ryokan.Hypervisor.Diagnostics;

/// <summary>
/// The last hypercalls of one vCPU, for a crash report. Written by the vCPU's thread only, without
/// allocation; read when the vCPU stands still.
/// </summary>
internal sealed class HypercallRing
{
    /// <summary>Entries kept; a power of two.</summary>
    public const int Capacity = 64;

    /// <summary>Result of a call that has not returned.</summary>
    private const long Running = long.MinValue;

    private struct Entry
    {
        public ulong Number, A1, A2, A3, A4;
        public long Result;
    }

    private readonly Entry[] _entries = new Entry[Capacity];
    private uint _count;

    /// <summary>Notes a call before it runs, so that one that never returns is seen; pass the value to <see cref="End"/>.</summary>
    public uint Begin(ulong number, ulong a1, ulong a2, ulong a3, ulong a4)
    {
        uint at = _count++ & (Capacity - 1);
        ref Entry entry = ref _entries[at];
        entry.Number = number;
        entry.A1 = a1;
        entry.A2 = a2;
        entry.A3 = a3;
        entry.A4 = a4;
        entry.Result = Running;
        return at;
    }

    public void End(uint at, long result) => _entries[at].Result = result;

    /// <summary>One line per call, oldest first.</summary>
    public void Describe(StringBuilder text)
    {
        for (uint i = _count - Math.Min(_count, Capacity); i != _count; i++)
        {
            ref Entry e = ref _entries[i & (Capacity - 1)];
            text.Append(CultureInfo.InvariantCulture,
                $"  {HypercallNames.Of(e.Number)}({e.A1:x}, {e.A2:x}, {e.A3:x}, {e.A4:x})");
            text.AppendLine(e.Result == Running
                ? " did not return" : string.Create(CultureInfo.InvariantCulture, $" = {e.Result}"));
        }
    }
}
