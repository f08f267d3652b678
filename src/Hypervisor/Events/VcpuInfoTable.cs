using System;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events;

/// <summary>
/// Where the vcpu_info of each vCPU stands: in shared_info at first, then where the guest registered it
/// (xen/xen.h, struct vcpu_info; VCPUOP_register_vcpu_info). Gives its fields as references into guest
/// memory: read them once, use them atomically, believe nothing.
/// </summary>
public sealed class VcpuInfoTable
{
    /// <summary>sizeof(struct vcpu_info).</summary>
    public const int Size = 64;

    private const int UpcallPendingOffset = 0;
    private const int UpcallMaskOffset = 1;
    private const int PendingSelOffset = 8;
    private const int Cr2Offset = 16;

    /// <summary>Offset of struct vcpu_time_info in struct vcpu_info.</summary>
    public const int TimeOffset = 32;

    private readonly GuestFrames _frames;
    private readonly long _sharedInfo;

    /// <summary>
    /// Frame index &lt;&lt; 12 | offset of each vcpu_info: one word, so that a move is atomic.
    /// </summary>
    private readonly long[] _places;

    /// <summary>Called after a vcpu_info moved, with the vCPU's id, on the thread that moved it.</summary>
    public Action<int>? Moved { get; set; }

    public int VcpuCount => _places.Length;

    /// <summary>Puts every vcpu_info into shared_info, events masked (the state at domain start).</summary>
    public VcpuInfoTable(GuestFrames frames, ulong sharedInfoMfn, int vcpus)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vcpus, SharedInfo.LegacyMaxVcpus);
        _frames = frames;
        _sharedInfo = frames.IndexOf(sharedInfoMfn);
        _places = new long[vcpus];
        Reset();
        for (int i = 0; i < SharedInfo.LegacyMaxVcpus; i++)
        {
            frames.ByteAt(_sharedInfo, i * Size + UpcallMaskOffset) = 1;
        }
    }

    /// <summary>Frame index and byte offset of a vCPU's vcpu_info at this moment.</summary>
    public (long FrameIndex, int Offset) Place(int vcpu)
    {
        long place = Volatile.Read(ref _places[vcpu]);
        return (place >> GuestFrames.PageShift, (int)(place & (GuestFrames.PageSize - 1)));
    }

    public ref byte UpcallPending(int vcpu)
    {
        (long index, int offset) = Place(vcpu);
        return ref _frames.ByteAt(index, offset + UpcallPendingOffset);
    }

    public ref byte UpcallMask(int vcpu)
    {
        (long index, int offset) = Place(vcpu);
        return ref _frames.ByteAt(index, offset + UpcallMaskOffset);
    }

    /// <summary>arch.cr2: where the guest finds the address of a page fault.</summary>
    public ref ulong Cr2(int vcpu)
    {
        (long index, int offset) = Place(vcpu);
        return ref _frames.UInt64At(index, offset + Cr2Offset);
    }

    /// <summary>An upcall is due: pending and not masked.</summary>
    public bool UpcallDue(int vcpu)
    {
        (long index, int offset) = Place(vcpu);
        return Volatile.Read(ref _frames.ByteAt(index, offset + UpcallPendingOffset)) != 0
            && Volatile.Read(ref _frames.ByteAt(index, offset + UpcallMaskOffset)) == 0;
    }

    /// <summary>Sets evtchn_upcall_pending; true when it was clear.</summary>
    internal bool SetUpcallPending(int vcpu)
    {
        (long index, int offset) = Place(vcpu);
        ref byte pending = ref _frames.ByteAt(index, offset + UpcallPendingOffset);
        bool raised = Interlocked.Exchange(ref pending, (byte)1) == 0;
        _frames.NoteWritten(index, offset, 1);
        return raised;
    }

    /// <summary>Sets a bit of evtchn_pending_sel; true when it was clear.</summary>
    internal bool SetPendingSel(int vcpu, int bit)
    {
        (long index, int offset) = Place(vcpu);
        ulong old = Interlocked.Or(ref _frames.UInt64At(index, offset + PendingSelOffset), 1UL << bit);
        _frames.NoteWritten(index, offset + PendingSelOffset, 8);
        return (old >> bit & 1) == 0;
    }

    /// <summary>
    /// Moves a vcpu_info. Whoever was setting a bit in the old place may be overtaken, so everything is
    /// marked pending in the new one: the guest then looks at all its events once.
    /// </summary>
    /// <returns>0; -EINVAL: no such frame, the place crosses a page or is unaligned, or it moved
    /// before</returns>
    internal long Move(int vcpu, ulong mfn, int offset)
    {
        long index = _frames.IndexOf(mfn);
        if (index < 0 || (uint)offset > GuestFrames.PageSize - Size || (offset & 7) != 0)
        {
            return -Errno.EINVAL;
        }
        (long oldIndex, int oldOffset) = Place(vcpu);
        if (oldIndex != _sharedInfo || oldOffset != vcpu * Size)
        {
            return -Errno.EINVAL;
        }
        _frames.SpanAt(oldIndex).Slice(oldOffset, Size).CopyTo(_frames.SpanAt(index).Slice(offset, Size));
        Interlocked.Exchange(ref _places[vcpu], index << GuestFrames.PageShift | (long)offset);
        Interlocked.Or(ref _frames.UInt64At(index, offset + PendingSelOffset), ulong.MaxValue);
        Interlocked.Exchange(ref _frames.ByteAt(index, offset + UpcallPendingOffset), (byte)1);
        _frames.NoteWritten(index, offset, Size);
        Moved?.Invoke(vcpu);
        return 0;
    }

    /// <summary>Puts every vcpu_info back into shared_info (soft reset); contents stay.</summary>
    internal void Reset()
    {
        for (int i = 0; i < _places.Length; i++)
        {
            Volatile.Write(ref _places[i], _sharedInfo << GuestFrames.PageShift | (long)(i * Size));
        }
    }
}
