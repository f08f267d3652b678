using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events;

/// <summary>
/// The two-level event ABI: pending and mask bitmaps of 4096 ports in shared_info, and a selector word per
/// vCPU (xen/xen.h, struct shared_info). Called with the port's lock held.
/// </summary>
internal sealed class TwoLevelEvents(GuestFrames frames, ulong sharedInfoMfn, VcpuInfoTable vcpuInfo)
{
    private const int PendingOffset = 2048;
    private const int MaskOffset = 2560;

    private readonly long _sharedInfo = frames.IndexOf(sharedInfoMfn);

    private ref ulong PendingWord(uint port) =>
        ref frames.UInt64At(_sharedInfo, PendingOffset + (int)(port >> 6) * 8);

    private ref ulong MaskWord(uint port) =>
        ref frames.UInt64At(_sharedInfo, MaskOffset + (int)(port >> 6) * 8);

    private static ulong Bit(uint port) => 1UL << (int)(port & 63);

    /// <summary>Makes the event pending; true when its vCPU must be told.</summary>
    public bool SetPending(EventPort p)
    {
        ulong old = Interlocked.Or(ref PendingWord(p.Port), Bit(p.Port));
        Written(PendingOffset, p.Port);
        return (old & Bit(p.Port)) == 0
            && (Volatile.Read(ref MaskWord(p.Port)) & Bit(p.Port)) == 0
            && vcpuInfo.SetPendingSel(p.Vcpu, (int)(p.Port >> 6));
    }

    /// <summary>EVTCHNOP_unmask; true when the vCPU must be told.</summary>
    public bool Unmask(EventPort p)
    {
        ulong old = Interlocked.And(ref MaskWord(p.Port), ~Bit(p.Port));
        Written(MaskOffset, p.Port);
        return (old & Bit(p.Port)) != 0
            && IsPending(p.Port)
            && vcpuInfo.SetPendingSel(p.Vcpu, (int)(p.Port >> 6));
    }

    public void ClearPending(uint port)
    {
        Interlocked.And(ref PendingWord(port), ~Bit(port));
        Written(PendingOffset, port);
    }

    public bool IsPending(uint port) => (Volatile.Read(ref PendingWord(port)) & Bit(port)) != 0;

    private void Written(int bitmap, uint port) =>
        frames.NoteWritten(_sharedInfo, bitmap + (int)(port >> 6) * 8, 8);
}
