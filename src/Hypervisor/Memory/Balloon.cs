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
    /// Takes frames back until one is not the guest's or is in use as a table; how many were taken. Their contents go
    /// when no vCPU has them cached any more, and before anybody can be given them.
    /// </summary>
    public int Release(ReadOnlySpan<ulong> mfns)
    {
        lock (_gate)
        {
            int taken = Take(mfns);
            Forget(mfns[..taken]);
            _populated -= (ulong)taken;
            return taken;
        }
    }

    /// <summary>
    /// Populates 2^order frames in a row, aligned as Xen's are, for a pfn: those of the same number when they are free, else
    /// any below a limit. Without a pfn (increase_reservation) the frames have none.
    /// </summary>
    public bool TryPopulate(ulong? pfn, int order, ulong limit, out ulong mfn)
    {
        mfn = 0;
        ulong count = 1UL << order;
        lock (_gate)
        {
            if (_populated + count > Maximum || !TryFindFree(pfn, order, limit, out mfn))
            {
                return false;
            }
            Give(mfn, count, pfn);
            _populated += count;
            return true;
        }
    }

    /// <summary>
    /// Exchanges frames for as many others: one extent of 2^order frames for each of <paramref name="pfns"/>. All or nothing.
    /// The frames that go may come back as part of an extent; their contents never do.
    /// </summary>
    /// <returns>0, -EINVAL (a frame that cannot be taken), -ENOMEM (no free extents below the limit)</returns>
    public long Exchange(ReadOnlySpan<ulong> taken, ReadOnlySpan<ulong> pfns, int order, ulong limit, Span<ulong> mfns)
    {
        ulong count = 1UL << order;
        lock (_gate)
        {
            int n = Take(taken);
            int given = 0;
            for (; n == taken.Length && given < pfns.Length; given++)
            {
                if (!TryFindFree(pfns[given], order, limit, out mfns[given]))
                {
                    break;
                }
                SetAbsent(mfns[given], count, absent: false);
            }
            foreach (ulong mfn in mfns[..given])
            {
                SetAbsent(mfn, count, absent: true);
            }
            if (given < pfns.Length)
            {
                foreach (ulong mfn in taken[..n])
                {
                    SetAbsent(mfn, 1, absent: false);
                }
                return n < taken.Length ? -Errno.EINVAL : -Errno.ENOMEM;
            }
            Forget(taken);
            for (int i = 0; i < pfns.Length; i++)
            {
                Give(mfns[i], count, pfns[i]);
            }
            return 0;
        }
    }

    /// <summary>Marks frames as absent up to the first that cannot be taken; how many.</summary>
    private int Take(ReadOnlySpan<ulong> mfns)
    {
        for (int i = 0; i < mfns.Length; i++)
        {
            ulong mfn = mfns[i];
            if (mfn >= _frames.RamFrames || _frames.Has((long)mfn, FrameFlags.Absent)
                || _types.TypeOf((long)mfn) != PageType.None)
            {
                return i;
            }
            _frames.Set((long)mfn, FrameFlags.Absent);
        }
        return mfns.Length;
    }

    /// <summary>Frames that were taken lose pfn and contents.</summary>
    private void Forget(ReadOnlySpan<ulong> mfns)
    {
        if (mfns.IsEmpty)
        {
            return;
        }
        _engine.FlushTlb(_allVcpus, null);
        foreach (ulong mfn in mfns)
        {
            _machineToPhysical.TrySet(mfn, MachineToPhysical.Invalid);
            _frames.NoteWritten((long)mfn, 0, GuestFrames.PageSize);
            _frames.Discard((long)mfn);
        }
    }

    private void Give(ulong mfn, ulong count, ulong? pfn)
    {
        SetAbsent(mfn, count, absent: false);
        for (ulong i = 0; i < count; i++)
        {
            _machineToPhysical.TrySet(mfn + i, pfn + i ?? MachineToPhysical.Invalid);
        }
    }

    private void SetAbsent(ulong mfn, ulong count, bool absent)
    {
        for (ulong i = mfn; i < mfn + count; i++)
        {
            if (absent)
            {
                _frames.Set((long)i, FrameFlags.Absent);
            }
            else
            {
                _frames.Clear((long)i, FrameFlags.Absent);
            }
        }
    }

    private bool TryFindFree(ulong? wanted, int order, ulong limit, out ulong mfn)
    {
        ulong count = 1UL << order;
        ulong extents = Math.Min(limit, _frames.RamFrames) >> order;
        if (wanted is { } same && (same & (count - 1)) == 0 && same >> order < extents && AreFree(same, count))
        {
            mfn = same;
            return true;
        }
        for (ulong tried = 0; tried < extents; tried++)
        {
            mfn = (_searchFrom >> order) % extents << order;
            _searchFrom = mfn + count;
            if (AreFree(mfn, count))
            {
                return true;
            }
        }
        mfn = 0;
        return false;
    }

    private bool AreFree(ulong mfn, ulong count)
    {
        for (ulong i = mfn; i < mfn + count; i++)
        {
            if (!_frames.Has((long)i, FrameFlags.Absent))
            {
                return false;
            }
        }
        return true;
    }
}
