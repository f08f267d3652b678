using System;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Memory;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>memory_op (memory.h) for a PV guest: maps, reservations and the balloon.</summary>
internal static class MemoryCalls
{
    /// <summary>Largest extent of one request: 2^9 frames (2 MiB).</summary>
    private const uint MaxOrder = 9;

    /// <summary>Frames released before the TLBs are flushed and their memory goes.</summary>
    private const int ReleaseBatch = 512;

    private const uint Ram = 1;

    public static long MemoryOp(Vcpu v, ulong command, ulong argument)
    {
        switch (command)
        {
            case Xen.Abi.MemoryOp.MachphysMapping:
                return v.TryCopyOut(argument, new XenMachphysMapping
                {
                    VStart = MachineToPhysical.VirtualStart,
                    VEnd = VirtualLayout.Mach2physVirtEnd,
                    MaxMfn = v.Domain.MachineToPhysical.MaxMfn,
                }) ? 0 : -Errno.EFAULT;
            case Xen.Abi.MemoryOp.MemoryMap:
                return MemoryMap(v, argument);
            case Xen.Abi.MemoryOp.DecreaseReservation:
                return Reserve(v, argument, Decrease);
            case Xen.Abi.MemoryOp.PopulatePhysmap:
                return Reserve(v, argument, Populate);
            case Xen.Abi.MemoryOp.CurrentReservation:
                return Reservation(v, argument, v.Domain.Balloon.Populated);
            case Xen.Abi.MemoryOp.MaximumReservation:
                return Reservation(v, argument, v.Domain.Balloon.Maximum);
            case Xen.Abi.MemoryOp.MaximumRamPage:
                return (long)v.Frames.RamFrames - 1;
            case Xen.Abi.MemoryOp.MaximumGpfn:
                return Reservation(v, argument, v.Frames.RamFrames - 1);
            case Xen.Abi.MemoryOp.SetMemoryMap or Xen.Abi.MemoryOp.MachineMemoryMap:
                return -Errno.EPERM;
            default:
                return -Errno.ENOSYS;
        }
    }

    /// <summary>One entry, all RAM from 0: with gaps Linux would move frames about.</summary>
    private static long MemoryMap(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out XenMemoryMap map))
        {
            return -Errno.EFAULT;
        }
        if (map.NrEntries < 1)
        {
            return -Errno.EINVAL;
        }
        map.NrEntries = 1;
        E820Entry entry = new() { Addr = 0, Size = v.Frames.RamFrames << GuestFrames.PageShift, Type = Ram };
        return v.TryCopyOut(map.Buffer, in entry) && v.TryCopyOut(argument, in map) ? 0 : -Errno.EFAULT;
    }

    private static long Reservation(Vcpu v, ulong argument, ulong pages)
    {
        if (!v.TryCopyIn(argument, out ushort domid))
        {
            return -Errno.EFAULT;
        }
        return IsSelf(v, domid) ? (long)pages : -Errno.ESRCH;
    }

    private static bool IsSelf(Vcpu v, ushort domid) => domid == Domid.Self || domid == v.Domain.Id;

    /// <summary>Checks a reservation and works on it; both operations return how many extents were done.</summary>
    private static long Reserve(Vcpu v, ulong argument, Func<Vcpu, XenMemoryReservation, long> work)
    {
        if (!v.TryCopyIn(argument, out XenMemoryReservation reservation))
        {
            return -Errno.EFAULT;
        }
        if (!IsSelf(v, reservation.Domid))
        {
            return -Errno.ESRCH;
        }
        if (reservation.NrExtents > v.Frames.RamFrames || reservation.ExtentOrder > MaxOrder)
        {
            return 0;
        }
        return work(v, reservation);
    }

    private static long Decrease(Vcpu v, XenMemoryReservation reservation)
    {
        Span<ulong> released = stackalloc ulong[ReleaseBatch];
        int pending = 0;
        long done = 0;
        ulong perExtent = 1UL << (int)reservation.ExtentOrder;
        bool going = true;
        for (; going && (ulong)done < reservation.NrExtents; done += going ? 1 : 0)
        {
            going = v.TryCopyIn(reservation.ExtentStart + (ulong)done * sizeof(ulong), out ulong first);
            for (ulong i = 0; going && i < perExtent; i++)
            {
                going = v.Domain.Balloon.TryRelease(first + i);
                if (going)
                {
                    released[pending++] = first + i;
                }
                if (pending == ReleaseBatch)
                {
                    Discard(v, released);
                    pending = 0;
                }
            }
        }
        Discard(v, released[..pending]);
        return done;
    }

    private static void Discard(Vcpu v, ReadOnlySpan<ulong> released)
    {
        if (released.IsEmpty)
        {
            return;
        }
        v.Domain.Balloon.Flush();
        foreach (ulong mfn in released)
        {
            v.Domain.Balloon.Discard(mfn);
        }
    }

    /// <summary>Extents are pfns on entry, mfns on return.</summary>
    private static long Populate(Vcpu v, XenMemoryReservation reservation)
    {
        long done = 0;
        for (; (ulong)done < reservation.NrExtents && !v.StopRequested; done++)
        {
            ulong at = reservation.ExtentStart + (ulong)done * sizeof(ulong);
            if (!v.TryCopyIn(at, out ulong pfn) || pfn >= v.Frames.RamFrames
                || !v.TryCopyOut(at, pfn)
                || !v.Domain.Balloon.TryPopulate(pfn, reservation.ExtentOrder, out ulong mfn))
            {
                break;
            }
            v.TryCopyOut(at, mfn);
        }
        return done;
    }
}
