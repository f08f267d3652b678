using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Events;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events.Tests;

/// <summary>
/// The guest's half of the event ABIs, written from the protocol in xen/event_channel.h: what a kernel does
/// on an upcall, to mask and to unmask. RAM frames: 0-7 event array, 8-15 control blocks, 16.. vcpu_info.
/// </summary>
internal sealed class GuestModel : IUpcallSink, IDisposable
{
    public const ushort Domain = 7;
    private const int WordsPerPage = 1024;
    private const uint PendingBit = 1u << EventFifo.Pending;
    private const uint MaskedBit = 1u << EventFifo.Masked;
    private const uint LinkedBit = 1u << EventFifo.Linked;
    private const uint BusyBit = 1u << EventFifo.Busy;

    private readonly ulong _sharedInfo;
    private readonly AutoResetEvent[] _wake;
    private readonly uint[,] _heads;

    public GuestFrames Frames { get; } = new(64, 8);

    public EventChannels Events { get; }

    public bool Fifo { get; private set; }

    public int Raises;

    public GuestModel(int vcpus, bool allowFifo = true)
    {
        _sharedInfo = Frames.AllocateSpecial()!.Value;
        _wake = new AutoResetEvent[vcpus];
        _heads = new uint[vcpus, EventFifo.MaxQueues];
        for (int i = 0; i < vcpus; i++)
        {
            _wake[i] = new AutoResetEvent(false);
        }
        Events = new EventChannels(Frames, _sharedInfo, vcpus, Domain, this) { AllowFifo = allowFifo };
    }

    public void Raise(int vcpu)
    {
        Interlocked.Increment(ref Raises);
        _wake[vcpu].Set();
    }

    public bool Wait(int vcpu, int milliseconds) => _wake[vcpu].WaitOne(milliseconds);

    public void UseFifo(int pages = 1)
    {
        Fifo = true;
        for (int vcpu = 0; vcpu < Events.VcpuCount; vcpu++)
        {
            Check(Events.InitControl((uint)vcpu, 8 + (ulong)vcpu, 64, out byte bits));
            Check(bits == 17 ? 0 : -1);
        }
        for (int page = 0; page < pages; page++)
        {
            AddPage(page);
        }
    }

    /// <summary>All words start masked, as a kernel leaves them.</summary>
    public void AddPage(int page)
    {
        for (int i = 0; i < WordsPerPage; i++)
        {
            Interlocked.Or(ref Frames.UInt32At(page, i * 4), MaskedBit);
        }
        Check(Events.ExpandArray((ulong)page));
    }

    public static void Check(long result)
    {
        if (result < 0)
        {
            throw new InvalidOperationException($"errno {-result}");
        }
    }

    public ref uint Word(uint port) =>
        ref Frames.UInt32At(port / WordsPerPage, (int)(port % WordsPerPage) * 4);

    public ref ulong PendingWord(uint port) =>
        ref Frames.UInt64At(SharedInfoIndex, 2048 + (int)(port / 64) * 8);

    public ref ulong MaskWord(uint port) => ref Frames.UInt64At(SharedInfoIndex, 2560 + (int)(port / 64) * 8);

    public long SharedInfoIndex => Frames.IndexOf(_sharedInfo);

    public bool IsPending(uint port) => Fifo
        ? (Volatile.Read(ref Word(port)) & PendingBit) != 0
        : (Volatile.Read(ref PendingWord(port)) >> (int)(port & 63) & 1) != 0;

    public void Mask(uint port)
    {
        if (Fifo)
        {
            Interlocked.Or(ref Word(port), MaskedBit);
        }
        else
        {
            Interlocked.Or(ref MaskWord(port), 1UL << (int)(port & 63));
        }
    }

    public void Unmask(uint port)
    {
        if (!Fifo || !TryClearMasked(ref Word(port)))
        {
            Check(Events.Unmask(port));
        }
    }

    /// <summary>False when the event is pending: then the hypervisor has to unmask.</summary>
    private static bool TryClearMasked(ref uint word)
    {
        uint seen = Volatile.Read(ref word);
        while (true)
        {
            if ((seen & MaskedBit) == 0)
            {
                return true;
            }
            if ((seen & PendingBit) != 0)
            {
                return false;
            }
            uint expected = seen & ~BusyBit;
            seen = Interlocked.CompareExchange(ref word, expected & ~MaskedBit, expected);
            if (seen == expected)
            {
                return true;
            }
        }
    }

    /// <summary>Runs the upcall of one vCPU as long as it is pending; the ports handled, in order.</summary>
    public List<uint> Upcall(int vcpu, Action<uint>? handle = null)
    {
        List<uint> handled = [];
        Action<uint> take = p =>
        {
            handled.Add(p);
            handle?.Invoke(p);
        };
        while (Interlocked.Exchange(ref Events.VcpuInfo.UpcallPending(vcpu), (byte)0) != 0)
        {
            if (Fifo)
            {
                ScanFifo(vcpu, take);
            }
            else
            {
                ScanTwoLevel(vcpu, take);
            }
        }
        return handled;
    }

    private void ScanTwoLevel(int vcpu, Action<uint> take)
    {
        (long index, int offset) = Events.VcpuInfo.Place(vcpu);
        ulong selected = Interlocked.Exchange(ref Frames.UInt64At(index, offset + 8), 0);
        for (int word = 0; word < 64; word++)
        {
            if ((selected >> word & 1) == 0)
            {
                continue;
            }
            for (uint port = (uint)word * 64; port < (uint)word * 64 + 64; port++)
            {
                ulong bit = 1UL << (int)(port & 63);
                if ((Volatile.Read(ref PendingWord(port)) & ~Volatile.Read(ref MaskWord(port)) & bit) != 0)
                {
                    Interlocked.And(ref PendingWord(port), ~bit);
                    take(port);
                }
            }
        }
    }

    private void ScanFifo(int vcpu, Action<uint> take)
    {
        ref uint readyWord = ref Frames.UInt32At(8 + vcpu, 64);
        uint ready = Interlocked.Exchange(ref readyWord, 0);
        while (ready != 0)
        {
            int queue = System.Numerics.BitOperations.TrailingZeroCount(ready);
            ConsumeOne(vcpu, queue, ref ready, take);
            ready |= Interlocked.Exchange(ref readyWord, 0);
        }
    }

    private void ConsumeOne(int vcpu, int queue, ref uint ready, Action<uint> take)
    {
        uint port = _heads[vcpu, queue];
        if (port == 0)
        {
            port = Volatile.Read(ref Frames.UInt32At(8 + vcpu, 72 + queue * 4));
        }
        uint next = ClearLinked(ref Word(port));
        if (next == 0)
        {
            ready &= ~(1u << queue);
        }
        uint word = Volatile.Read(ref Word(port));
        if ((word & PendingBit) != 0 && (word & MaskedBit) == 0)
        {
            Interlocked.And(ref Word(port), ~PendingBit);
            take(port);
        }
        _heads[vcpu, queue] = next;
    }

    private static uint ClearLinked(ref uint word)
    {
        uint seen = Volatile.Read(ref word);
        while (true)
        {
            uint old = seen;
            seen = Interlocked.CompareExchange(ref word, old & ~(LinkedBit | (uint)EventFifo.LinkMask), old);
            if (seen == old)
            {
                return old & (uint)EventFifo.LinkMask;
            }
        }
    }

    public void Dispose()
    {
        foreach (AutoResetEvent wake in _wake)
        {
            wake.Dispose();
        }
        Frames.Dispose();
    }
}
