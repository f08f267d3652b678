using System;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Memory;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>memory_op (memory.h) for a PV guest: maps, reservations and the balloon.</summary>
internal static class MemoryCalls
{
    /// <summary>Largest extent of one request of an unprivileged domain: 2^9 frames (2 MiB).</summary>
    private const int MaxOrder = 9;

    private const int MaxExtentFrames = 1 << MaxOrder;

    /// <summary>
    /// A command has in its upper bits the extent to begin with: how Xen continues a call, open to anybody.
    /// </summary>
    private const int StartShift = 6;

    private const ulong CommandMask = (1 << StartShift) - 1;
    private const ulong MaxExtents = uint.MaxValue >> StartShift;

    private const uint AddressBitsMask = 0xff, NodeMask = 0xff00;
    private const uint Ram = 1;
    private const ushort ControlDomain = 0;

    public static long MemoryOp(Vcpu v, ulong command, ulong argument)
    {
        ulong start = command >> StartShift;
        switch (command & CommandMask)
        {
            case Xen.Abi.MemoryOp.IncreaseReservation:
                return Reserve(v, argument, start, Increase);
            case Xen.Abi.MemoryOp.DecreaseReservation:
                return Reserve(v, argument, start, Decrease);
            case Xen.Abi.MemoryOp.PopulatePhysmap:
                return Reserve(v, argument, start, Populate);
            case Xen.Abi.MemoryOp.AddToPhysmap:
                return AddToPhysmap(v, argument, start);
            case Xen.Abi.MemoryOp.AddToPhysmapBatch:
                return AddToPhysmapBatch(v, argument, start);
            default:
                return start == 0 ? Whole(v, command, argument)
                    : RefusesStart(command & CommandMask) ? -Errno.EINVAL : -Errno.ENOSYS;
        }
    }

    private static bool RefusesStart(ulong command) => command is Xen.Abi.MemoryOp.Exchange
        or Xen.Abi.MemoryOp.MaximumRamPage or Xen.Abi.MemoryOp.CurrentReservation
        or Xen.Abi.MemoryOp.MaximumReservation or Xen.Abi.MemoryOp.MaximumGpfn or Xen.Abi.MemoryOp.RemoveFromPhysmap;

    /// <summary>What is done in one go.</summary>
    private static long Whole(Vcpu v, ulong command, ulong argument)
    {
        switch (command)
        {
            case Xen.Abi.MemoryOp.Exchange:
                return MemoryExchange.Exchange(v, argument);
            case Xen.Abi.MemoryOp.MachphysMapping:
                return v.TryCopyOut(argument, new XenMachphysMapping
                {
                    VStart = MachineToPhysical.VirtualStart,
                    VEnd = VirtualLayout.Mach2physVirtEnd,
                    MaxMfn = v.Domain.MachineToPhysical.MaxMfn,
                }) ? 0 : -Errno.EFAULT;
            case Xen.Abi.MemoryOp.MemoryMap:
                return MemoryMap(v, argument);
            case Xen.Abi.MemoryOp.CurrentReservation:
                return Reservation(v, argument, v.Domain.Balloon.Populated);
            case Xen.Abi.MemoryOp.MaximumReservation:
                return Reservation(v, argument, v.Domain.Balloon.Maximum);
            case Xen.Abi.MemoryOp.MaximumRamPage:
                return (long)v.Frames.RamFrames;
            case Xen.Abi.MemoryOp.MaximumGpfn:
                return Reservation(v, argument, v.Frames.RamFrames - 1);
            case Xen.Abi.MemoryOp.RemoveFromPhysmap:
                return v.TryCopyIn(argument, out XenRemoveFromPhysmap remove)
                    ? OnlyTranslated(v, remove.Domid) : -Errno.EFAULT;
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
        map.NrEntries = Math.Min(map.NrEntries, 1);
        E820Entry entry = new() { Addr = 0, Size = v.Frames.RamFrames << GuestFrames.PageShift, Type = Ram };
        return (map.NrEntries == 0 || v.TryCopyOut(map.Buffer, in entry)) && v.TryCopyOut(argument, in map)
            ? 0 : -Errno.EFAULT;
    }

    private static long Reservation(Vcpu v, ulong argument, ulong pages)
    {
        if (!v.TryCopyIn(argument, out ushort domid))
        {
            return -Errno.EFAULT;
        }
        long error = DomainError(v, domid);
        return error == 0 ? (long)pages : error;
    }

    /// <summary>0 for the domain itself, -EPERM for the one other that the guest knows to be there, else -ESRCH.</summary>
    public static long DomainError(Vcpu v, ushort domid) =>
        domid == Domid.Self || domid == v.Domain.Id ? 0 : domid == ControlDomain ? -Errno.EPERM : -Errno.ESRCH;

    private static long AddToPhysmap(Vcpu v, ulong argument, ulong start)
    {
        if (start > ushort.MaxValue)
        {
            return -Errno.EDOM;
        }
        if (!v.TryCopyIn(argument, out XenAddToPhysmap add))
        {
            return -Errno.EFAULT;
        }
        return add.Space == MapSpace.GmfnForeign ? -Errno.ENOSYS : OnlyTranslated(v, add.Domid);
    }

    private static long AddToPhysmapBatch(Vcpu v, ulong argument, ulong start)
    {
        if (start > ushort.MaxValue)
        {
            return -Errno.EDOM;
        }
        if (!v.TryCopyIn(argument, out XenAddToPhysmapBatch add))
        {
            return -Errno.EFAULT;
        }
        return add.Space == MapSpace.GmfnRange ? -Errno.EOPNOTSUPP : OnlyTranslated(v, add.Domid);
    }

    /// <summary>The physmap is Xen's for a translated domain only; a PV domain has its own.</summary>
    private static long OnlyTranslated(Vcpu v, ushort domid) =>
        DomainError(v, domid) == -Errno.ESRCH ? -Errno.ESRCH : -Errno.EACCES;

    /// <summary>The frames that an address width of an extent's flags leaves: mfns below the result.</summary>
    public static ulong FrameLimit(uint flags)
    {
        int bits = (int)(flags & AddressBitsMask);
        return bits is 0 or >= 64 ? ulong.MaxValue : 1UL << Math.Max(bits - GuestFrames.PageShift, 1);
    }

    /// <summary>An exact node of the host is not for an unprivileged domain to ask for.</summary>
    public static bool IsNodeAllowed(uint flags) =>
        (flags & NodeMask) == 0 || (flags & MemoryFlags.ExactNodeRequest) == 0;

    /// <summary>
    /// Checks a reservation and works on it. The result is how many extents are done, counted from the list's
    /// beginning, whatever is wrong.
    /// </summary>
    private static long Reserve(Vcpu v, ulong argument, ulong start, Func<Vcpu, XenMemoryReservation, ulong, ulong> work)
    {
        if (!v.TryCopyIn(argument, out XenMemoryReservation reservation)
            || reservation.NrExtents > MaxExtents || start >= reservation.NrExtents
            || DomainError(v, reservation.Domid) != 0 || reservation.ExtentOrder > MaxOrder)
        {
            return (long)start;
        }
        uint flags = reservation.MemFlags;
        bool isWidthBad = (flags & AddressBitsMask) is not 0 and <= GuestFrames.PageShift;
        bool isNodeBad = (flags & MemoryFlags.Vnode) == 0 && !IsNodeAllowed(flags);
        return isWidthBad || isNodeBad ? (long)start : (long)work(v, reservation, start);
    }

    private static ulong Decrease(Vcpu v, XenMemoryReservation reservation, ulong start)
    {
        Span<ulong> frames = stackalloc ulong[MaxExtentFrames];
        int order = (int)reservation.ExtentOrder, perExtent = 1 << order;
        ulong done = start;
        bool going = true;
        while (going && done < reservation.NrExtents && !v.StopRequested)
        {
            // As many extents as fit: one flush of the TLBs for all of them.
            int pending = 0;
            ulong end = Math.Min(reservation.NrExtents, done + (ulong)(MaxExtentFrames >> order));
            for (ulong i = done; going && i < end; i++)
            {
                going = v.TryCopyIn(Extent(reservation, i), out ulong first);
                for (int k = 0; going && k < perExtent; k++)
                {
                    frames[pending++] = first + (ulong)k;
                }
            }
            int released = v.Domain.Balloon.Release(frames[..pending]);
            going &= released == pending;
            done += (ulong)(released >> order);
        }
        return done;
    }

    private static ulong Extent(in XenMemoryReservation reservation, ulong number) =>
        reservation.ExtentStart + number * sizeof(ulong);

    /// <summary>New frames without a pfn; the list, when there is one, gets their mfns.</summary>
    private static ulong Increase(Vcpu v, XenMemoryReservation reservation, ulong start)
    {
        ulong limit = FrameLimit(reservation.MemFlags);
        ulong done = start;
        for (; done < reservation.NrExtents && !v.StopRequested; done++)
        {
            if (!v.Domain.Balloon.TryPopulate(null, (int)reservation.ExtentOrder, limit, out ulong mfn)
                || (reservation.ExtentStart != 0 && !v.TryCopyOut(Extent(reservation, done), mfn)))
            {
                break;
            }
        }
        return done;
    }

    /// <summary>Extents are pfns on entry, mfns on return.</summary>
    private static ulong Populate(Vcpu v, XenMemoryReservation reservation, ulong start)
    {
        ulong limit = FrameLimit(reservation.MemFlags);
        ulong done = start;
        // On demand is for the domains that another one builds.
        bool going = (reservation.MemFlags & MemoryFlags.PopulateOnDemand) == 0;
        for (; going && done < reservation.NrExtents && !v.StopRequested; done += going ? 1UL : 0)
        {
            ulong at = Extent(reservation, done);
            going = v.TryCopyIn(at, out ulong pfn) && v.TryCopyOut(at, pfn)
                && v.Domain.Balloon.TryPopulate(pfn, (int)reservation.ExtentOrder, limit, out ulong mfn)
                && v.TryCopyOut(at, mfn);
        }
        return done;
    }
}
