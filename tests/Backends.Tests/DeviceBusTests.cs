using System;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.Backends.Xenbus;
using Ryokan.Xen.Abi;
using Ryokan.XenStore;
using Xunit;

namespace Ryokan.Backends.Tests;

/// <summary>The life cycle of a device, as an honest, a hasty and a hostile front end lead it.</summary>
public sealed class DeviceBusTests : IDisposable
{
    private const string Echo = "echo";

    private readonly ModelGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    private EchoDevice Add(int id = 3)
    {
        EchoDevice device = new(_guest.Access, id);
        Assert.True(_guest.Bus.Add(device));
        return device;
    }

    private FrontRing Connect(int id, out uint port, int pages = 1)
    {
        _guest.WaitForBackend(Echo, id, XenbusState.InitWait);
        FrontRing ring = new(_guest, pages, 112);
        port = _guest.Port();
        if (pages == 1)
        {
            _guest.WriteFront(Echo, id, "ring-ref", ring.References[0]);
        }
        else
        {
            _guest.WriteFront(Echo, id, "ring-page-order", int.Log2(pages));
            for (int i = 0; i < pages; i++)
            {
                _guest.WriteFront(Echo, id, $"ring-ref{i}", ring.References[i]);
            }
        }
        _guest.WriteFront(Echo, id, "event-channel", port);
        _guest.SetState(Echo, id, XenbusState.Initialised);
        _guest.WaitForBackend(Echo, id, XenbusState.Connected);
        return ring;
    }

    private UInt128 Ask(FrontRing ring, uint port, UInt128 request)
    {
        ring.Put(request);
        if (ring.Publish())
        {
            _guest.Send(port);
        }
        return Answer(ring);
    }

    private static UInt128 Answer(FrontRing ring)
    {
        UInt128 response = 0;
        ModelGuest.WaitFor(() => ring.TryTake(out response), () => "no answer");
        return response;
    }

    [Fact]
    public void A_new_device_has_its_nodes_and_waits()
    {
        Add();
        _guest.WaitForBackend(Echo, 3, XenbusState.InitWait);
        Assert.Equal("1", _guest.ReadBack(Echo, 3, "feature-echo"));
        Assert.Equal("back", _guest.ReadBack(Echo, 3, "hint"));
        Assert.Equal("1", _guest.ReadBack(Echo, 3, "online"));
        Assert.Equal("front", _guest.ReadFront(Echo, 3, "hint"));
        Assert.Equal(_guest.Tree.BackendPath(Echo, 3), _guest.ReadFront(Echo, 3, "backend"));
        using EchoDevice second = new(_guest.Access, 3);
        Assert.False(_guest.Bus.Add(second));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(16)]
    public void Requests_are_answered_many_times_around_the_ring(int pages)
    {
        Add();
        FrontRing ring = Connect(3, out uint port, pages);
        for (int i = 0; i < 5 * ring.Slots; i++)
        {
            Assert.Equal(~(UInt128)i, Ask(ring, port, (UInt128)i));
        }
    }

    [Fact]
    public void A_full_ring_is_answered_whole()
    {
        Add();
        FrontRing ring = Connect(3, out uint port);
        Assert.Equal(32, ring.Slots);
        for (int round = 0; round < 100; round++)
        {
            for (int i = 0; i < ring.Slots; i++)
            {
                ring.Put((UInt128)(round * 100 + i));
            }
            if (ring.Publish())
            {
                _guest.Send(port);
            }
            for (int i = 0; i < ring.Slots; i++)
            {
                Assert.Equal(~(UInt128)(round * 100 + i), Answer(ring));
            }
        }
    }

    [Theory]
    [InlineData(33u)]
    [InlineData(0x80000000u)]
    [InlineData(uint.MaxValue)]
    public void A_producer_that_jumps_is_disconnected_and_may_come_back(uint producer)
    {
        EchoDevice device = Add();
        FrontRing ring = Connect(3, out uint port);
        ring.Publish(producer);
        _guest.Send(port);
        _guest.WaitForBackend(Echo, 3, XenbusState.Closing);
        Assert.All(ring.References, r => Assert.True(_guest.Revoke(r), "the ring is still mapped"));
        Assert.Contains("jumped", _guest.ReadAsDomain0("/local/domain/0/error/backend/echo/7/3/error"));
        Assert.Single(_guest.Log);

        _guest.SetState(Echo, 3, XenbusState.Closed);
        _guest.WaitForBackend(Echo, 3, XenbusState.Closed);
        _guest.SetState(Echo, 3, XenbusState.Initialising);
        ring = Connect(3, out port);
        Assert.Equal(~(UInt128)5, Ask(ring, port, 5));
        Assert.Equal((2, 0), (device.Connected, device.Disposed));
        Assert.Null(_guest.ReadAsDomain0("/local/domain/0/error/backend/echo/7/3/error"));
    }

    /// <summary>A worker's complaint that comes after its connection has ended changes nothing.</summary>
    [Fact]
    public void Late_news_of_a_broken_ring_is_no_news()
    {
        Add();
        for (int i = 0; i < 300; i++)
        {
            FrontRing ring = Connect(3, out uint port);
            ring.Publish(uint.MaxValue);
            _guest.Send(port);
            _guest.SetState(Echo, 3, XenbusState.Closed);
            _guest.WaitForBackend(Echo, 3, XenbusState.Closed);
            _guest.SetState(Echo, 3, XenbusState.Initialising);
            _guest.WaitForBackend(Echo, 3, XenbusState.InitWait);
        }
    }

    [Theory]
    [InlineData("ring-ref", "4000000000")]
    [InlineData("ring-ref", "-1")]
    [InlineData("ring-ref", "99999999999999999999")]
    [InlineData("ring-ref", "7")]
    [InlineData("ring-ref", "\u0001\u001b[2J")]
    [InlineData("event-channel", "0")]
    [InlineData("event-channel", "131072")]
    [InlineData("event-channel", "x")]
    [InlineData("ring-page-order", "5")]
    public void Nonsense_in_its_nodes_disconnects_the_front_end(string node, string value)
    {
        Add();
        _guest.WaitForBackend(Echo, 3, XenbusState.InitWait);
        FrontRing ring = new(_guest, 1, 112);
        _guest.WriteFront(Echo, 3, "ring-ref", ring.References[0]);
        _guest.WriteFront(Echo, 3, "event-channel", _guest.Port());
        _guest.WriteFront(Echo, 3, node, value);
        _guest.SetState(Echo, 3, XenbusState.Connected);
        _guest.WaitForBackend(Echo, 3, XenbusState.Closing);
        Assert.True(_guest.Revoke(ring.References[0]));
        Assert.DoesNotContain(_guest.Log[0], char.IsControl);
    }

    [Fact]
    public void A_read_only_ring_is_refused()
    {
        Add();
        _guest.WaitForBackend(Echo, 3, XenbusState.InitWait);
        _guest.WriteFront(Echo, 3, "ring-ref", _guest.Grant(_guest.Page(), readOnly: true));
        _guest.WriteFront(Echo, 3, "event-channel", _guest.Port());
        _guest.SetState(Echo, 3, XenbusState.Connected);
        _guest.WaitForBackend(Echo, 3, XenbusState.Closing);
    }

    [Fact]
    public void A_kernel_that_starts_anew_gets_the_device_again()
    {
        EchoDevice device = Add();
        FrontRing first = Connect(3, out _);
        _guest.SetState(Echo, 3, XenbusState.Initialising);
        FrontRing second = Connect(3, out uint port);
        Assert.True(_guest.Revoke(first.References[0]));
        Assert.Equal(~(UInt128)9, Ask(second, port, 9));
        Assert.Equal(2, device.Announced);
    }

    [Fact]
    public async Task Removal_waits_for_the_guest()
    {
        EchoDevice device = Add();
        FrontRing ring = Connect(3, out uint port);
        Task<RemovalOutcome> removal = _guest.Bus.Remove(Echo, 3, force: false, TimeSpan.FromSeconds(20));
        _guest.WaitForBackend(Echo, 3, XenbusState.Closing);
        Assert.Equal("0", _guest.ReadBack(Echo, 3, "online"));
        // Requests under way are still answered.
        Assert.Equal(~(UInt128)1, Ask(ring, port, 1));
        _guest.SetState(Echo, 3, XenbusState.Closing);
        Assert.False(removal.IsCompleted);
        _guest.SetState(Echo, 3, XenbusState.Closed);
        Assert.Equal(RemovalOutcome.Removed, await removal);
        Assert.Null(_guest.ReadBack(Echo, 3, "state"));
        Assert.Null(_guest.ReadFront(Echo, 3, "state"));
        Assert.True(_guest.Revoke(ring.References[0]));
        Assert.Equal(1, device.Disposed);
        Assert.Empty(_guest.Bus.List(Echo));
    }

    [Fact]
    public async Task Removal_of_what_the_guest_keeps_can_be_forced()
    {
        EchoDevice device = Add();
        FrontRing ring = Connect(3, out _);
        Assert.Equal(RemovalOutcome.GuestKeepsIt,
            await _guest.Bus.Remove(Echo, 3, force: false, TimeSpan.FromMilliseconds(20)));
        Assert.Equal(RemovalOutcome.Removed,
            await _guest.Bus.Remove(Echo, 3, force: true, TimeSpan.FromSeconds(20)));
        Assert.True(_guest.Revoke(ring.References[0]));
        Assert.Equal(1, device.Disposed);
    }

    [Fact]
    public async Task Removal_of_what_the_guest_never_took_is_immediate()
    {
        Add();
        Assert.Equal(RemovalOutcome.Removed,
            await _guest.Bus.Remove(Echo, 3, force: false, TimeSpan.FromSeconds(20)));
        Assert.Equal(RemovalOutcome.NoSuchDevice,
            await _guest.Bus.Remove(Echo, 4, force: false, TimeSpan.FromSeconds(20)));
    }

    [Fact]
    public void A_front_end_that_removes_its_own_nodes_lets_go()
    {
        Add();
        FrontRing ring = Connect(3, out _);
        Assert.Equal(StoreError.None, _guest.Guest.Remove(0, _guest.Tree.FrontendPath(Echo, 3)));
        _guest.WaitForBackend(Echo, 3, XenbusState.Closed);
        Assert.True(_guest.Revoke(ring.References[0]));
    }

    /// <summary>A guest that does nothing but change its state costs one look at a time, and few log lines.</summary>
    [Fact]
    public void A_flood_of_states_is_survived()
    {
        Add();
        Random random = new(4711);
        for (int i = 0; i < 20_000; i++)
        {
            _guest.SetState(Echo, 3, random.Next(0, 10));
        }
        // The back end may still be at an earlier state: one that starts anew waits until it has let go.
        _guest.SetState(Echo, 3, XenbusState.Closed);
        _guest.WaitForBackend(Echo, 3, XenbusState.Closed);
        _guest.SetState(Echo, 3, XenbusState.Initialising);
        FrontRing ring = Connect(3, out uint port);
        Assert.Equal(~(UInt128)2, Ask(ring, port, 2));
        Assert.InRange(_guest.Log.Count, 0, 8);
    }

    [Fact]
    public void Ending_the_bus_lets_go_of_everything()
    {
        EchoDevice device = Add();
        FrontRing ring = Connect(3, out _);
        _guest.Bus.Dispose();
        Assert.True(_guest.Revoke(ring.References[0]));
        Assert.Equal(1, device.Disposed);
        Assert.Throws<ObjectDisposedException>(() => _guest.Bus.List(Echo));
    }
}
