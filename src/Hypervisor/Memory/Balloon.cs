using System;
using System.Threading;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Memory;

/// <summary>
/// Which RAM frames are populated. A frame the guest gives back loses its memory on the host and its pfn; a
/// frame it asks for is, where that one is free, the one with the wanted number (mfn == pfn stays true for
/// whoever balloons down and up again).
/// </summary>
internal sealed class Balloon
{
    private readonly GuestFrames _frames;
    private readonly MachineToPhysical _machineToPhysical;
    private readonly PageTypes _types;
    private readonly IEngine _engine;
    private readonly ulong _allVcpus;
    private readonly Lock _gate = new();
    private ulong _populated;
    private ulong _searchFrom;
    private ulong _maximum;

    public Balloon(
        GuestFrames frames, MachineToPhysical machineToPhysical, PageTypes types, IEngine engine, ulong allVcpus,
        ulong populated)
    {
        _frames = frames;
        _machineToPhysical = machineToPhysical;
        _types = types;
        _engine = engine;
        _allVcpus = allVcpus;
        _populated = populated;
        _maximum = frames.RamFrames;
        for (ulong mfn = populated; mfn < frames.RamFrames; mfn++)
        {
            frames.Set((long)mfn, FrameFlags.Absent);
        }
    }

    public ulong Populated => Volatile.Read(ref _populated);

    /// <summary>
    /// Frames that may be populated at most; what is populated already stays when that is more.
    /// </summary>
    public ulong Maximum
    {
        get => Volatile.Read(ref _maximum);
        set => Volatile.Write(ref _maximum, Math.Min(value, _frames.RamFrames));
    }

    /// <summary>
    /// Marks a frame as given back; false when it is not the guest's or in use as a table. Its memory goes
    /// after <see cref="Flush"/> with <see cref="Discard"/>: until then a vCPU may still have it cached.
    /// </summary>
    public bool TryRelease(ulong mfn)
    {
        lock (_gate)
        {
            if (mfn >= _frames.RamFrames || _frames.Has((long)mfn, FrameFlags.Absent)
                || _types.TypeOf((long)mfn) != PageType.None)
            {
                return false;
            }
            _frames.Set((long)mfn, FrameFlags.Absent);
            _machineToPhysical.TrySet(mfn, MachineToPhysical.Invalid);
            _populated--;
            return true;
        }
    }

    public void Flush() => _engine.FlushTlb(_allVcpus, null);

    public void Discard(ulong mfn)
    {
        _frames.NoteWritten((long)mfn, 0, GuestFrames.PageSize);
        _frames.Discard((long)mfn);
    }

    /// <summary>
    /// Populates 2^order frames in a row for a pfn: those of the same number when they are free, else (order
    /// 0 only) any.
    /// </summary>
    public bool TryPopulate(ulong pfn, uint order, out ulong mfn)
    {
        ulong count = 1UL << (int)order;
        mfn = pfn;
        lock (_gate)
        {
            if (_populated + count > Maximum)
            {
                return false;
            }
            if (!AreFree(pfn, count))
            {
                if (order != 0 || !TryFindFree(out mfn))
                {
                    return false;
                }
            }
            for (ulong i = 0; i < count; i++)
            {
                _frames.Clear((long)(mfn + i), FrameFlags.Absent);
                _machineToPhysical.TrySet(mfn + i, pfn + i);
            }
            _populated += count;
            return true;
        }
    }

    private bool AreFree(ulong mfn, ulong count)
    {
        for (ulong i = mfn; i - mfn < count; i++)
        {
            if (i >= _frames.RamFrames || !_frames.Has((long)i, FrameFlags.Absent))
            {
                return false;
            }
        }
        return true;
    }

    private bool TryFindFree(out ulong mfn)
    {
        for (ulong tried = 0; tried < _frames.RamFrames && _populated < _frames.RamFrames; tried++)
        {
            mfn = _searchFrom;
            _searchFrom = (_searchFrom + 1) % _frames.RamFrames;
            if (_frames.Has((long)mfn, FrameFlags.Absent))
            {
                return true;
            }
        }
        mfn = 0;
        return false;
    }
}
