using System;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events;

/// <summary>
/// The FIFO event ABI (xen/event_channel.h): one 32-bit word per port in pages that the guest gives, 16
/// queues per vCPU linked through those words. The guest consumes from the head; only we append.
/// <para>
/// Invariants. An event is appended only by whoever changed its LINKED bit from 0 to 1. A queue's tail is
/// known here alone, never read from the guest; a tail whose word is no longer LINKED means that the guest
/// emptied the queue, and the head must be written. No link is ever followed, so a hostile guest can only
/// lose its own events. Lock order: port, then queues of vCPUs by ascending id.
/// </para>
/// </summary>
internal sealed class FifoEvents(GuestFrames frames, int vcpus)
{
    /// <summary>Pages of the event array: 131072 ports of 4 bytes.</summary>
    public const int MaxPages = EventFifo.NrChannels / WordsPerPage;

    private const int WordsPerPage = GuestFrames.PageSize / sizeof(uint);
    private const int ControlBlockSize = 72;
    private const int HeadOffset = 8;

    private const uint Pending = 1u << EventFifo.Pending;
    private const uint Masked = 1u << EventFifo.Masked;
    private const uint Linked = 1u << EventFifo.Linked;
    private const uint Busy = 1u << EventFifo.Busy;

    /// <summary>
    /// Tries to link behind a tail that the guest changes at the same time. With BUSY set, a guest that
    /// keeps to the protocol can change a LINKED word at most this often.
    /// </summary>
    private const int MaxLinkTries = 4;

    /// <summary>The queues of one vCPU; the lock guards the tails.</summary>
    private sealed class VcpuQueues
    {
        public readonly Lock Lock = new();
        public readonly uint[] Tails = new uint[EventFifo.MaxQueues];

        /// <summary>
        /// Frame index &lt;&lt; 12 | offset of the control block; -1 until the guest gave one.
        /// </summary>
        public long ControlBlock = -1;
    }

    private readonly VcpuQueues[] _queues = MakeQueues(vcpus);
    private readonly long[] _pages = new long[MaxPages];
    private int _pageCount;

    private static VcpuQueues[] MakeQueues(int count)
    {
        VcpuQueues[] queues = new VcpuQueues[count];
        for (int i = 0; i < count; i++)
        {
            queues[i] = new VcpuQueues();
        }
        return queues;
    }

    /// <summary>Number of ports that have an event word.</summary>
    public uint WordCount => (uint)Volatile.Read(ref _pageCount) * WordsPerPage;

    /// <summary>Takes a vCPU's control block. -EINVAL: bad place, or the vCPU has one.</summary>
    public long MapControlBlock(int vcpu, ulong gfn, uint offset)
    {
        long index = frames.IndexOf(gfn);
        VcpuQueues queues = _queues[vcpu];
        if (index < 0 || offset > GuestFrames.PageSize - ControlBlockSize || (offset & 7) != 0
            || queues.ControlBlock >= 0)
        {
            return -Errno.EINVAL;
        }
        Volatile.Write(ref queues.ControlBlock, index << GuestFrames.PageShift | offset);
        return 0;
    }

    /// <summary>Takes the next page of event words. -EINVAL: bad frame; -ENOSPC: enough pages.</summary>
    public long AddPage(ulong gfn)
    {
        long index = frames.IndexOf(gfn);
        if (index < 0)
        {
            return -Errno.EINVAL;
        }
        if (_pageCount == MaxPages)
        {
            return -Errno.ENOSPC;
        }
        _pages[_pageCount] = index;
        Volatile.Write(ref _pageCount, _pageCount + 1);
        return 0;
    }

    /// <summary>
    /// Makes the event pending, links it when it is unmasked; true when its vCPU must be told.
    /// </summary>
    public bool SetPending(EventPort p)
    {
        if (!TryPlace(p.Port, out long page, out int offset))
        {
            p.PendingWithoutWord = true;
            return false;
        }
        ref uint word = ref frames.UInt32At(page, offset);
        Interlocked.Or(ref word, Pending);
        frames.NoteWritten(page, offset, sizeof(uint));
        return (Volatile.Read(ref word) & Masked) == 0 && Link(p, ref word);
    }

    /// <summary>EVTCHNOP_unmask; true when the vCPU must be told.</summary>
    public bool Unmask(EventPort p)
    {
        if (!TryPlace(p.Port, out long page, out int offset))
        {
            return false;
        }
        ref uint word = ref frames.UInt32At(page, offset);
        Interlocked.And(ref word, ~Masked);
        frames.NoteWritten(page, offset, sizeof(uint));
        return (Volatile.Read(ref word) & Pending) != 0 && SetPending(p);
    }

    /// <summary>
    /// Clears PENDING only: the guest takes a linked event that is not pending off its queue itself.
    /// </summary>
    public void ClearPending(EventPort p)
    {
        p.PendingWithoutWord = false;
        if (TryPlace(p.Port, out long page, out int offset))
        {
            Interlocked.And(ref frames.UInt32At(page, offset), ~Pending);
            frames.NoteWritten(page, offset, sizeof(uint));
        }
    }

    public bool IsPending(uint port) => (ReadWord(port) & Pending) != 0;

    /// <summary>Still on a queue: the port must not be given out again.</summary>
    public bool IsLinked(uint port) => (ReadWord(port) & Linked) != 0;

    private uint ReadWord(uint port) =>
        TryPlace(port, out long page, out int offset) ? Volatile.Read(ref frames.UInt32At(page, offset)) : 0;

    private bool TryPlace(uint port, out long page, out int offset)
    {
        uint number = port / WordsPerPage;
        bool found = number < (uint)Volatile.Read(ref _pageCount);
        page = found ? _pages[number] : -1;
        offset = (int)(port % WordsPerPage) * sizeof(uint);
        return found;
    }

    /// <summary>Appends an unmasked pending event to its queue unless it is on one.</summary>
    private bool Link(EventPort p, ref uint word)
    {
        VcpuQueues to = _queues[p.Vcpu];
        if (Volatile.Read(ref to.ControlBlock) < 0)
        {
            // A guest may not unmask an event before it gave the control block: nothing is promised.
            return false;
        }
        VcpuQueues from = _queues[p.LastVcpu];
        bool appended;
        (p.Vcpu <= p.LastVcpu ? to : from).Lock.Enter();
        if (to != from)
        {
            (p.Vcpu <= p.LastVcpu ? from : to).Lock.Enter();
        }
        try
        {
            if ((Interlocked.Or(ref word, Linked) & Linked) != 0)
            {
                return false;
            }
            if (from.Tails[p.LastPriority] == p.Port)
            {
                // It was the last event of a queue that the guest emptied. It must not be a tail there any
                // more, or the next event of that queue would be linked into the queue it is on now.
                from.Tails[p.LastPriority] = 0;
            }
            p.LastVcpu = p.Vcpu;
            p.LastPriority = p.Priority;
            appended = Append(to, p.Priority, p.Port);
        }
        finally
        {
            to.Lock.Exit();
            if (to != from)
            {
                from.Lock.Exit();
            }
        }
        return !appended && SetReady(to.ControlBlock, p.Priority);
    }

    /// <summary>
    /// Puts the port behind the tail (true) or, when the queue is empty, at its head (false).
    /// </summary>
    private bool Append(VcpuQueues queues, int priority, uint port)
    {
        uint tail = queues.Tails[priority];
        queues.Tails[priority] = port;
        if (tail != 0 && TryPlace(tail, out long page, out int offset)
            && TrySetLink(ref frames.UInt32At(page, offset), port))
        {
            frames.NoteWritten(page, offset, sizeof(uint));
            return true;
        }
        long block = queues.ControlBlock;
        long frame = block >> GuestFrames.PageShift;
        int head = (int)(block & (GuestFrames.PageSize - 1)) + HeadOffset + priority * sizeof(uint);
        Interlocked.Exchange(ref frames.UInt32At(frame, head), port);
        frames.NoteWritten(frame, head, sizeof(uint));
        return false;
    }

    /// <summary>
    /// Sets the LINK field if the word is still LINKED; false when the guest took it off the queue. While
    /// BUSY is set the guest waits before it unmasks, so the word settles.
    /// </summary>
    private static bool TrySetLink(ref uint word, uint port)
    {
        uint old = Volatile.Read(ref word);
        for (int i = 0; i <= MaxLinkTries; i++)
        {
            if ((old & Linked) == 0)
            {
                if (i > 0)
                {
                    Interlocked.And(ref word, ~Busy);
                }
                return false;
            }
            uint seen = Interlocked.CompareExchange(
                ref word, (old & ~(Busy | (uint)EventFifo.LinkMask)) | port, old);
            if (seen == old)
            {
                return true;
            }
            old = i == 0 ? Interlocked.Or(ref word, Busy) | Busy : seen;
        }
        // The guest does not keep to the protocol; the event is lost to it.
        Interlocked.And(ref word, ~Busy);
        return true;
    }

    private bool SetReady(long controlBlock, int priority)
    {
        long frame = controlBlock >> GuestFrames.PageShift;
        int offset = (int)(controlBlock & (GuestFrames.PageSize - 1));
        uint old = Interlocked.Or(ref frames.UInt32At(frame, offset), 1u << priority);
        frames.NoteWritten(frame, offset, sizeof(uint));
        return (old >> priority & 1) == 0;
    }
}
