using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Xunit;

namespace Ryokan.Hypervisor.Events.Tests;

/// <summary>
/// Senders, vCPUs, masking and moving all at once: no event may be lost; a hostile guest may do no harm.
/// </summary>
public sealed class EventStressTests
{
    private const int Vcpus = 4;
    private const int Ports = 48;
    private const int SendsPerThread = 40_000;

    private sealed class Run(GuestModel guest) : IDisposable
    {
        public readonly uint[] Port = new uint[Ports];
        public readonly long[] Sent = new long[4096];
        public readonly long[] Seen = new long[4096];
        public volatile bool Stop;
        public readonly List<Thread> Threads = [];
        public Exception? Failure;

        public void Start(Action body)
        {
            Thread thread = new(() =>
            {
                try
                {
                    body();
                }
                catch (Exception e)
                {
                    Failure = e;
                }
            });
            Threads.Add(thread);
            thread.Start();
        }

        /// <summary>
        /// Everything sent before the handler ran is seen by it. Two vCPUs may handle one port at once, and the one that looked first
        /// may be the last to write: it does not take back what the other has seen.
        /// </summary>
        public void Handle(uint port)
        {
            long sent = Volatile.Read(ref Sent[port]), seen = Volatile.Read(ref Seen[port]);
            while (seen < sent)
            {
                long found = Interlocked.CompareExchange(ref Seen[port], sent, seen);
                seen = found == seen ? sent : found;
            }
        }

        public void Send(uint port)
        {
            Interlocked.Increment(ref Sent[port]);
            guest.Events.NotifyGuest(port);
        }

        public void VcpuLoop(int vcpu)
        {
            while (!Stop)
            {
                guest.Wait(vcpu, 50);
                guest.Upcall(vcpu, Handle);
            }
        }

        public void Dispose() => Stop = true;
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void No_event_is_lost(bool fifo, bool moving)
    {
        using GuestModel guest = new(Vcpus);
        using Run run = new(guest);
        if (fifo)
        {
            guest.UseFifo();
        }
        for (int i = 0; i < Ports; i++)
        {
            GuestModel.Check(guest.Events.BindBackend(null, () => { }, out run.Port[i]));
            GuestModel.Check(guest.Events.BindVcpu(run.Port[i], (uint)(i % Vcpus)));
            guest.Unmask(run.Port[i]);
        }
        for (int v = 0; v < Vcpus; v++)
        {
            int vcpu = v;
            run.Start(() => run.VcpuLoop(vcpu));
        }
        int senders = 3;
        for (int s = 0; s < 3; s++)
        {
            int seed = s;
            run.Start(() =>
            {
                Random random = new(seed);
                for (int i = 0; i < SendsPerThread; i++)
                {
                    run.Send(run.Port[random.Next(Ports)]);
                }
                Interlocked.Decrement(ref senders);
            });
        }
        if (moving)
        {
            run.Start(() => Disturb(guest, run, () => Volatile.Read(ref senders) > 0));
        }
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref senders) == 0 || run.Failure != null, 60_000));
        bool allSeen = SpinWait.SpinUntil(
            () => run.Failure != null
                || run.Port.All(p => Volatile.Read(ref run.Seen[p]) == run.Sent[p]), 10_000);
        run.Stop = true;
        run.Threads.ForEach(t => t.Join());
        Assert.Null(run.Failure);
        Assert.True(allSeen, "lost: " + string.Join(' ', run.Port
            .Where(p => run.Seen[p] != run.Sent[p]).Select(p => $"{p}:{run.Seen[p]}/{run.Sent[p]}")));
    }

    /// <summary>
    /// Masks, moves, re-prioritizes and unmasks, one port after the other, as a guest kernel would.
    /// </summary>
    private static void Disturb(GuestModel guest, Run run, Func<bool> goOn)
    {
        Random random = new(99);
        while (goOn())
        {
            uint port = run.Port[random.Next(Ports)];
            guest.Mask(port);
            GuestModel.Check(guest.Events.BindVcpu(port, (uint)random.Next(Vcpus)));
            if (guest.Fifo)
            {
                GuestModel.Check(guest.Events.SetPriority(port, (uint)random.Next(16)));
            }
            Thread.Yield();
            guest.Unmask(port);
        }
    }

    [Fact]
    public void A_guest_that_scribbles_over_all_its_words_does_no_harm()
    {
        using GuestModel guest = new(Vcpus);
        using Run run = new(guest);
        guest.UseFifo();
        for (int i = 0; i < Ports; i++)
        {
            GuestModel.Check(guest.Events.BindBackend(null, () => { }, out run.Port[i]));
        }
        run.Start(() =>
        {
            Random random = new(5);
            while (!run.Stop)
            {
                random.NextBytes(guest.Frames.SpanAt(0));
                random.NextBytes(guest.Frames.SpanAt(8 + random.Next(Vcpus)));
                random.NextBytes(guest.Frames.SpanAt(guest.SharedInfoIndex));
            }
        });
        Random random = new(6);
        for (int i = 0; i < 100_000; i++)
        {
            uint port = (uint)random.Next(4200);
            switch (random.Next(8))
            {
                case 0: guest.Events.Unmask(port); break;
                case 1: guest.Events.BindVcpu(port, (uint)random.Next(5)); break;
                case 2: guest.Events.SetPriority(port, (uint)random.Next(17)); break;
                case 3: guest.Events.Close(port); break;
                case 4: guest.Events.BindIpi((uint)random.Next(5), out _); break;
                case 5: guest.Events.Send(port); break;
                case 6: guest.Events.AllocUnbound(0x7ff0, (ushort)random.Next(8), out _); break;
                default: guest.Events.NotifyGuest(run.Port[random.Next(Ports)]); break;
            }
        }
        run.Stop = true;
        run.Threads.ForEach(t => t.Join());
        Assert.Null(run.Failure);
    }
}
