using System;
using System.Threading;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Memory;

/// <summary>
/// The machine-to-physical table: a word per RAM frame, its pfn or <see cref="Invalid"/>. The guest kernel
/// reads it at <see cref="VirtualStart"/> through the engine's hypervisor hole; only the monitor writes it. Special
/// frames (shared info, grants) lie beyond its end, where reads fault: "no pfn" to the guest.
/// </summary>
internal sealed class MachineToPhysical : IDisposable
{
    public const ulong Invalid = ~0UL;

    /// <summary>
    /// Where the guest finds the table (XENMEM_machphys_mapping.v_start): not quite at the start of the hole. A PV kernel reads
    /// m2p[n] and its own p2m[n] by turns; Linux has the latter at ffffc90000000000, and both at the same
    /// distance from a power of two would take the same entry of a direct-mapped TLB.
    /// </summary>
    public const ulong VirtualStart = VirtualLayout.HypervisorVirtStart + 0x155000;

    private readonly HostTable _table;
    private readonly ulong _frames;

    public MachineToPhysical(ulong ramFrames, ulong populated)
    {
        _frames = ramFrames;
        _table = new HostTable(ramFrames);
        for (ulong i = 0; i < _table.Length; i++)
        {
            _table[i] = i < populated ? i : Invalid;
        }
    }

    /// <summary>Highest index of the table (XENMEM_machphys_mapping.max_mfn).</summary>
    public ulong MaxMfn => _table.Length - 1;

    public HypervisorHole Hole => new(
        VirtualLayout.HypervisorVirtStart, VirtualLayout.HypervisorVirtEnd, _table.Address, _table.Bytes)
    {
        WindowStart = VirtualStart,
    };

    /// <summary>False when the table has no word for the frame.</summary>
    public bool TrySet(ulong mfn, ulong pfn)
    {
        if (mfn >= _frames)
        {
            return false;
        }
        Volatile.Write(ref _table[mfn], pfn);
        return true;
    }

    public ulong PfnOf(ulong mfn) => mfn < _frames ? Volatile.Read(ref _table[mfn]) : Invalid;

    public void Dispose() => _table.Dispose();
}
