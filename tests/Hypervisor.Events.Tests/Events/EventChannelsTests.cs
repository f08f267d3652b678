using System.Collections.Generic;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Hypervisor.Events.Tests;

/// <summary>The port table and delivery, in both ABIs.</summary>
public sealed class EventChannelsTests
{
    private static GuestModel Guest(bool fifo, int vcpus = 2)
    {
        GuestModel guest = new(vcpus);
        if (fifo)
        {
            guest.UseFifo();
        }
        return guest;
    }

    [Fact]
    public void Boot_ports_are_given_in_order()
    {
        using GuestModel guest = new(2);
        EventChannels events = guest.Events;
        Assert.Equal(0, events.BindBackend(null, () => { }, out uint store));
        Assert.Equal(0, events.BindBackend(null, () => { }, out uint console));
        Assert.Equal(0, events.BindVirq(Virq.Timer, 0, out uint timer));
        Assert.Equal([1u, 2u, 3u], [store, console, timer]);
    }

    [Fact]
    public void Every_vcpu_starts_with_events_masked()
    {
        using GuestModel guest = new(4);
        for (int i = 0; i < 32; i++)
        {
            Assert.Equal(1, guest.Frames.ByteAt(guest.SharedInfoIndex, i * 64 + 1));
        }
        Assert.False(guest.Events.VcpuInfo.UpcallDue(3));
    }

    [Fact]
    public void Wrong_arguments_get_their_errno()
    {
        using GuestModel guest = Guest(fifo: true);
        EventChannels e = guest.Events;
        Assert.Equal(-Errno.EINVAL, e.BindVirq(24, 0, out _));
        Assert.Equal(-Errno.EINVAL, e.BindVirq(uint.MaxValue, 0, out _));
        Assert.Equal(-Errno.EINVAL, e.BindVirq(Virq.Console, 1, out _));
        Assert.Equal(-Errno.ENOENT, e.BindVirq(Virq.Timer, 2, out _));
        Assert.Equal(-Errno.ENOENT, e.BindIpi(2, out _));
        Assert.Equal(-Errno.ENOENT, e.BindIpi(uint.MaxValue, out _));
        foreach (uint port in (uint[])[0, 1, 5, 4095, 4096, 131071, 131072, uint.MaxValue])
        {
            Assert.Equal(-Errno.EINVAL, e.Send(port));
            Assert.Equal(-Errno.EINVAL, e.Close(port));
            Assert.Equal(-Errno.EINVAL, e.Unmask(port));
            Assert.Equal(-Errno.EINVAL, e.BindVcpu(port, 0));
            Assert.Equal(-Errno.EINVAL, e.SetPriority(port, 3));
            Assert.Equal(-Errno.EINVAL, e.BindBackend(port, () => { }, out _));
            Assert.False(e.IsPending(port));
        }
        Assert.Equal(0, e.BindIpi(1, out uint ipi));
        Assert.Equal(-Errno.EINVAL, e.BindVcpu(ipi, 0));
        Assert.Equal(-Errno.ENOENT, e.BindVcpu(ipi, 2));
        Assert.Equal(-Errno.EINVAL, e.SetPriority(ipi, 16));
        Assert.Equal(0, e.BindVirq(Virq.Timer, 1, out uint timer));
        Assert.Equal(-Errno.EEXIST, e.BindVirq(Virq.Timer, 1, out _));
        Assert.Equal(-Errno.EINVAL, e.Send(timer));
        Assert.Equal(-Errno.ESRCH, e.AllocUnbound(99, 0, out _));
        Assert.Equal(-Errno.EPERM, e.AllocUnbound(0, 0, out _));
        Assert.Equal(-Errno.ESRCH, e.BindInterdomain(99, 1, out _));
        Assert.Equal(-Errno.EINVAL, e.BindInterdomain(0, 1, out _));
        Assert.Equal(-Errno.EINVAL, e.BindInterdomain(Domid.Self, ipi, out _));
    }

    [Fact]
    public void A_vcpu_info_moves_once_and_only_to_a_good_place()
    {
        using GuestModel guest = new(2);
        EventChannels e = guest.Events;
        Assert.Equal(-Errno.ENOENT, e.SetVcpuInfo(2, 16, 0));
        Assert.Equal(-Errno.EINVAL, e.SetVcpuInfo(1, 64, 0));
        Assert.Equal(-Errno.EINVAL, e.SetVcpuInfo(1, ulong.MaxValue, 0));
        Assert.Equal(-Errno.EINVAL, e.SetVcpuInfo(1, 16, 4040));
        Assert.Equal(-Errno.EINVAL, e.SetVcpuInfo(1, 16, 4));
        Assert.Equal(-Errno.EINVAL, e.SetVcpuInfo(1, 16, -8));
        e.VcpuInfo.Cr2(1) = 0x1234;
        Assert.Equal(0, e.SetVcpuInfo(1, 16, 128));
        Assert.Equal((16L, 128), e.VcpuInfo.Place(1));
        Assert.Equal(0x1234ul, guest.Frames.UInt64At(16, 128 + 16));
        Assert.Equal(ulong.MaxValue, guest.Frames.UInt64At(16, 128 + 8));
        Assert.Equal(1, e.VcpuInfo.UpcallPending(1));
        Assert.Equal(1, e.VcpuInfo.UpcallMask(1));
        Assert.Equal(-Errno.EINVAL, e.SetVcpuInfo(1, 17, 0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_ipi_reaches_its_vcpu_once_until_handled(bool fifo)
    {
        using GuestModel guest = Guest(fifo);
        GuestModel.Check(guest.Events.BindIpi(1, out uint ipi));
        guest.Unmask(ipi);
        Assert.Equal(0, guest.Events.Send(ipi));
        Assert.Equal(0, guest.Events.Send(ipi));
        Assert.Equal(1, guest.Raises);
        Assert.True(guest.Events.IsPending(ipi));
        Assert.Empty(guest.Upcall(0));
        Assert.Equal([ipi], guest.Upcall(1));
        Assert.False(guest.Events.IsPending(ipi));
        Assert.Equal(0, guest.Events.Send(ipi));
        Assert.Equal(2, guest.Raises);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_masked_event_waits_for_unmask(bool fifo)
    {
        using GuestModel guest = Guest(fifo);
        GuestModel.Check(guest.Events.BindVirq(Virq.Timer, 0, out uint timer));
        guest.Mask(timer);
        guest.Events.RaiseVirq(0, Virq.Timer);
        Assert.Equal(0, guest.Raises);
        Assert.True(guest.Events.IsPending(timer));
        guest.Unmask(timer);
        Assert.Equal(1, guest.Raises);
        Assert.Equal([timer], guest.Upcall(0));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_poll_is_woken_by_a_masked_port(bool fifo)
    {
        using GuestModel guest = Guest(fifo);
        GuestModel.Check(guest.Events.BindIpi(1, out uint ipi));
        GuestModel.Check(guest.Events.BindIpi(1, out uint other));
        guest.Mask(ipi);
        guest.Mask(other);
        guest.Events.BeginPoll(0, ipi);
        Assert.Equal(0, guest.Events.Send(other));
        Assert.Equal(0, guest.Raises);
        Assert.Equal(0, guest.Events.Send(ipi));
        Assert.Equal(1, guest.Raises);
        Assert.True(guest.Wait(0, 0));
        guest.Events.EndPoll(0);
        Assert.Equal(0, guest.Events.Send(ipi));
        Assert.Equal(1, guest.Raises);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_back_end_binds_the_port_that_the_guest_left_for_it(bool fifo)
    {
        using GuestModel guest = Guest(fifo);
        EventChannels e = guest.Events;
        int told = 0;
        GuestModel.Check(e.AllocUnbound(Domid.Self, 0, out uint port));
        GuestModel.Check(e.AllocUnbound(Domid.Self, 5, out uint notOurs));
        Assert.Equal(0, e.Send(port));
        Assert.Equal(-Errno.EINVAL, e.BindBackend(notOurs, () => told++, out _));
        Assert.Equal(0, e.BindBackend(port, () => told++, out uint bound));
        Assert.Equal(port, bound);
        Assert.Equal(1, told);
        Assert.Equal(0, e.Send(port));
        Assert.Equal(2, told);

        guest.Unmask(port);
        GuestModel.Check(e.BindVcpu(port, 1));
        e.NotifyGuest(port);
        Assert.Equal([port], guest.Upcall(1));

        EvtchnStatus status = new() { Dom = Domid.Self, Port = port };
        GuestModel.Check(e.Status(ref status));
        Assert.Equal(
            (EventChannelStatus.Interdomain, 1u, 0), (status.Status, status.Vcpu, status.InterdomainDom));
        e.UnbindBackend(port);
        GuestModel.Check(e.Status(ref status));
        Assert.Equal(EventChannelStatus.Unbound, status.Status);
        e.NotifyGuest(port);
        Assert.Empty(guest.Upcall(1));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Two_ports_of_the_domain_can_be_joined(bool fifo)
    {
        using GuestModel guest = Guest(fifo);
        EventChannels e = guest.Events;
        GuestModel.Check(e.AllocUnbound(Domid.Self, Domid.Self, out uint a));
        Assert.Equal(0, e.BindInterdomain(GuestModel.Domain, a, out uint b));
        guest.Unmask(a);
        guest.Unmask(b);
        Assert.Equal([b], guest.Upcall(0));
        Assert.Equal(0, e.Send(b));
        Assert.Equal([a], guest.Upcall(0));
        Assert.Equal(0, e.Send(a));
        Assert.Equal([b], guest.Upcall(0));
        Assert.Equal(0, e.Close(a));
        Assert.Equal(0, e.Send(b));
        Assert.Empty(guest.Upcall(0));
    }

    [Fact]
    public void Fifo_serves_by_priority_then_order()
    {
        using GuestModel guest = Guest(fifo: true);
        List<uint> ports = [];
        for (int i = 0; i < 6; i++)
        {
            GuestModel.Check(guest.Events.BindIpi(0, out uint port));
            guest.Unmask(port);
            ports.Add(port);
        }
        GuestModel.Check(guest.Events.SetPriority(ports[4], 0));
        GuestModel.Check(guest.Events.SetPriority(ports[0], 15));
        foreach (uint port in ports)
        {
            GuestModel.Check(guest.Events.Send(port));
        }
        Assert.Equal([ports[4], ports[1], ports[2], ports[3], ports[5], ports[0]], guest.Upcall(0));
    }

    [Fact]
    public void A_linked_event_that_moves_is_served_from_its_old_queue_first()
    {
        using GuestModel guest = Guest(fifo: true);
        GuestModel.Check(guest.Events.BindBackend(null, () => { }, out uint a));
        GuestModel.Check(guest.Events.BindBackend(null, () => { }, out uint b));
        guest.Unmask(a);
        guest.Unmask(b);
        guest.Events.NotifyGuest(a);
        GuestModel.Check(guest.Events.BindVcpu(a, 1));
        guest.Events.NotifyGuest(a);
        guest.Events.NotifyGuest(b);
        Assert.Empty(guest.Upcall(1));
        Assert.Equal([a, b], guest.Upcall(0));
        guest.Events.NotifyGuest(a);
        // a was last on queue 0 of vCPU 0; b must not be linked behind it.
        guest.Events.NotifyGuest(b);
        Assert.Equal([a], guest.Upcall(1));
        Assert.Equal([b], guest.Upcall(0));
    }

    [Fact]
    public void A_tail_that_moved_away_is_forgotten()
    {
        using GuestModel guest = Guest(fifo: true);
        GuestModel.Check(guest.Events.BindBackend(null, () => { }, out uint a));
        GuestModel.Check(guest.Events.BindBackend(null, () => { }, out uint b));
        guest.Unmask(a);
        guest.Unmask(b);
        guest.Events.NotifyGuest(a);
        Assert.Equal([a], guest.Upcall(0));
        GuestModel.Check(guest.Events.BindVcpu(a, 1));
        guest.Events.NotifyGuest(a);
        guest.Events.NotifyGuest(b);
        Assert.Equal([b], guest.Upcall(0));
        Assert.Equal([a], guest.Upcall(1));
    }

    [Fact]
    public void Pending_events_are_carried_over_to_the_fifo_abi()
    {
        using GuestModel guest = new(2);
        GuestModel.Check(guest.Events.BindBackend(null, () => { }, out uint store));
        GuestModel.Check(guest.Events.BindBackend(null, () => { }, out uint console));
        guest.Events.NotifyGuest(store);
        guest.UseFifo(pages: 0);
        guest.Events.NotifyGuest(console);
        Assert.False(guest.Events.IsPending(store));
        guest.AddPage(0);
        Assert.True(guest.Events.IsPending(store));
        Assert.True(guest.Events.IsPending(console));
        guest.Unmask(store);
        guest.Unmask(console);
        Assert.Equal([store, console], guest.Upcall(0));
    }

    [Fact]
    public void A_closed_port_still_on_a_queue_is_not_given_out_again()
    {
        using GuestModel guest = Guest(fifo: true);
        GuestModel.Check(guest.Events.BindIpi(0, out uint ipi));
        guest.Unmask(ipi);
        GuestModel.Check(guest.Events.Send(ipi));
        GuestModel.Check(guest.Events.Close(ipi));
        GuestModel.Check(guest.Events.BindIpi(0, out uint next));
        Assert.NotEqual(ipi, next);
        Assert.Empty(guest.Upcall(0));
        GuestModel.Check(guest.Events.BindIpi(0, out uint reused));
        Assert.Equal(ipi, reused);
    }

    [Fact]
    public void Fifo_places_are_checked()
    {
        using GuestModel guest = new(2);
        EventChannels e = guest.Events;
        Assert.Equal(-Errno.EOPNOTSUPP, e.ExpandArray(0));
        Assert.Equal(-Errno.ENOSYS, e.SetPriority(1, 0));
        Assert.Equal(-Errno.ENOENT, e.InitControl(2, 8, 0, out _));
        Assert.Equal(-Errno.EINVAL, e.InitControl(0, 8, 4096 - 64, out _));
        Assert.Equal(-Errno.EINVAL, e.InitControl(0, 8, 4, out _));
        Assert.Equal(-Errno.EINVAL, e.InitControl(0, 8, uint.MaxValue, out _));
        Assert.Equal(-Errno.EINVAL, e.InitControl(0, 1UL << 40, 0, out _));
        Assert.Equal(-Errno.EOPNOTSUPP, e.ExpandArray(0));
        Assert.Equal(0, e.InitControl(0, 8, 4024, out _));
        Assert.Equal(-Errno.EINVAL, e.InitControl(0, 9, 0, out _));
        Assert.Equal(-Errno.EINVAL, e.ExpandArray(1UL << 40));
        for (int i = 0; i < 128; i++)
        {
            Assert.Equal(0, e.ExpandArray((ulong)i % 8));
        }
        Assert.Equal(-Errno.ENOSPC, e.ExpandArray(0));
    }

    [Fact]
    public void Without_fifo_the_domain_stays_two_level()
    {
        using GuestModel guest = new(1, allowFifo: false);
        Assert.Equal(-Errno.ENOSYS, guest.Events.InitControl(0, 8, 0, out _));
    }

    [Fact]
    public void Ports_run_out_with_enospc_and_come_back()
    {
        using GuestModel guest = new(1);
        for (uint i = 1; i < EventChannels.MaxPorts; i++)
        {
            Assert.Equal(0, guest.Events.BindIpi(0, out uint port));
            Assert.Equal(i, port);
        }
        Assert.Equal(-Errno.ENOSPC, guest.Events.BindIpi(0, out _));
        Assert.Equal(-Errno.ENOSPC, guest.Events.BindVirq(Virq.Timer, 0, out _));
        Assert.Equal(0, guest.Events.Close(77));
        Assert.Equal(0, guest.Events.BindVirq(Virq.Timer, 0, out uint again));
        Assert.Equal(77u, again);
    }

    [Fact]
    public void Reset_closes_all_and_the_guest_can_start_over()
    {
        using GuestModel guest = Guest(fifo: true);
        GuestModel.Check(guest.Events.BindVirq(Virq.Timer, 0, out _));
        GuestModel.Check(guest.Events.BindBackend(null, () => { }, out uint store));
        Assert.Equal(0, guest.Events.Reset(Domid.Self));
        EvtchnStatus status = new() { Dom = Domid.Self, Port = store };
        GuestModel.Check(guest.Events.Status(ref status));
        Assert.Equal(EventChannelStatus.Closed, status.Status);
        guest.UseFifo();
        GuestModel.Check(guest.Events.BindVirq(Virq.Timer, 0, out uint timer));
        Assert.Equal(1u, timer);
        guest.Unmask(timer);
        guest.Events.RaiseVirq(0, Virq.Timer);
        Assert.Equal([timer], guest.Upcall(0));
        Assert.Equal(-Errno.ESRCH, guest.Events.Reset(3));
    }

    [Fact]
    public void Rebinding_a_closed_virq_works()
    {
        using GuestModel guest = Guest(fifo: false);
        GuestModel.Check(guest.Events.BindVirq(Virq.DomExc, 0, out uint first));
        GuestModel.Check(guest.Events.BindVcpu(first, 1));
        GuestModel.Check(guest.Events.Close(first));
        Assert.Equal(0, guest.Events.BindVirq(Virq.DomExc, 0, out uint second));
        guest.Unmask(second);
        guest.Events.RaiseVirq(0, Virq.DomExc);
        Assert.Equal([second], guest.Upcall(0));
    }
}
