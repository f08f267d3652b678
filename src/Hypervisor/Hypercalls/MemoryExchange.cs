using System;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>
/// XENMEM_exchange (memory.h): frames against as many others that lie in a row, or below an address. Linux asks for it
/// when memory for a device has to be contiguous in the machine.
/// </summary>
internal static class MemoryExchange
{
    /// <summary>Largest extent of an unprivileged domain, and so the most frames of one step.</summary>
    private const int MaxOrder = 9;

    public static long Exchange(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out XenMemoryExchange exchange))
        {
            return -Errno.EFAULT;
        }
        long result = Check(v, in exchange);
        if (result == 0)
        {
            if (exchange.NrExchanged == exchange.In.NrExtents)
            {
                return 0;
            }
            result = ExchangeAll(v, ref exchange);
        }
        return v.TryCopyOut(argument, in exchange) ? result : -Errno.EFAULT;
    }

    private static long Check(Vcpu v, in XenMemoryExchange exchange)
    {
        XenMemoryReservation taken = exchange.In, given = exchange.Out;
        if (Math.Max(taken.ExtentOrder, given.ExtentOrder) > MaxOrder)
        {
            return -Errno.EPERM;
        }
        int takenOrder = (int)taken.ExtentOrder, givenOrder = (int)given.ExtentOrder;
        if (exchange.NrExchanged > taken.NrExtents || taken.Domid != given.Domid
            || taken.NrExtents > ulong.MaxValue >> takenOrder || given.NrExtents > ulong.MaxValue >> givenOrder
            || taken.NrExtents << takenOrder != given.NrExtents << givenOrder)
        {
            return -Errno.EINVAL;
        }
        if (exchange.NrExchanged == taken.NrExtents)
        {
            return 0;
        }
        return MemoryCalls.IsNodeAllowed(given.MemFlags) ? MemoryCalls.DomainError(v, taken.Domid) : -Errno.EINVAL;
    }

    /// <summary>In steps of the larger of the two extent sizes, each of which is done or not begun.</summary>
    private static long ExchangeAll(Vcpu v, ref XenMemoryExchange exchange)
    {
        Span<ulong> frames = stackalloc ulong[1 << MaxOrder], pfns = stackalloc ulong[1 << MaxOrder],
            mfns = stackalloc ulong[1 << MaxOrder];
        int takenOrder = (int)exchange.In.ExtentOrder, givenOrder = (int)exchange.Out.ExtentOrder;
        int order = Math.Max(takenOrder, givenOrder);
        int taken = 1 << (order - takenOrder), given = 1 << (order - givenOrder);
        pfns = pfns[..given];
        frames = frames[..(1 << order)];
        ulong limit = MemoryCalls.FrameLimit(exchange.Out.MemFlags);
        ulong steps = exchange.In.NrExtents >> (order - takenOrder);
        long result = 0;
        ulong step = exchange.NrExchanged >> (order - takenOrder);
        for (; step < steps && !v.StopRequested; step++)
        {
            ulong takenList = exchange.In.ExtentStart + step * (ulong)taken * sizeof(ulong);
            ulong givenList = exchange.Out.ExtentStart + step * (ulong)given * sizeof(ulong);
            result = TryReadFrames(v, takenList, takenOrder, frames) && TryReadList(v, givenList, pfns)
                ? v.Domain.Balloon.Exchange(frames, pfns, givenOrder, limit, mfns) : -Errno.EFAULT;
            if (result != 0)
            {
                break;
            }
            for (int i = 0; i < given; i++)
            {
                v.TryCopyOut(givenList + (ulong)i * sizeof(ulong), mfns[i]);
            }
        }
        exchange.NrExchanged = step << (order - takenOrder);
        return result;
    }

    private static bool TryReadFrames(Vcpu v, ulong list, int order, Span<ulong> frames)
    {
        for (int i = 0; i < frames.Length; i++)
        {
            int offset = i & ((1 << order) - 1);
            if (offset != 0)
            {
                frames[i] = frames[i - 1] + 1;
            }
            else if (!v.TryCopyIn(list + ((ulong)i >> order) * sizeof(ulong), out frames[i]))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Reads the list, and writes it back: where that works, what replaces it can be written too.</summary>
    private static bool TryReadList(Vcpu v, ulong list, Span<ulong> values)
    {
        for (int i = 0; i < values.Length; i++, list += sizeof(ulong))
        {
            if (!v.TryCopyIn(list, out values[i]) || !v.TryCopyOut(list, values[i]))
            {
                return false;
            }
        }
        return true;
    }
}
