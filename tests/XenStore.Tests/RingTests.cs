using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using Ryokan.Xen.Abi;
using Ryokan.XenStore.Transport;
using Ryokan.XenStore.Tree;
using Xunit;

namespace Ryokan.XenStore.Tests;

/// <summary>The wire protocol through a guest's ring.</summary>
public sealed class RingTests
{
    private readonly Store _store = new();
    private readonly FakeRing _ring = new();
    private readonly StoreConnection _root;
    private readonly RingSession _session;

    public RingTests()
    {
        _root = _store.Connect(0);
        _root.Put("/local/domain/5/data", "");
        _root.Allow("/local/domain/5", "n0,r5");
        _root.Allow("/local/domain/5/data", "n5");
        _session = new RingSession(_store, 5, _ring, () => { });
    }

    private string Ask(uint type, string payload, uint transaction = 0)
    {
        _ring.Queue(type, payload, 1, transaction);
        return string.Join(' ', _ring.Settle(_session));
    }

    [Fact]
    public void Requests_get_the_replies_of_the_protocol()
    {
        Assert.Equal("11/1 OK|", Ask(XenStoreMessageType.Write, "data/x\0value"));
        Assert.Equal("2/1 value", Ask(XenStoreMessageType.Read, "data/x\0"));
        Assert.Equal("12/1 OK|", Ask(XenStoreMessageType.Mkdir, "data/dir\0"));
        Assert.Equal("1/1 dir|x|", Ask(XenStoreMessageType.Directory, "data\0"));
        Assert.Equal("1/1 ", Ask(XenStoreMessageType.Directory, "data/dir\0"));
        Assert.Equal("3/1 n5|", Ask(XenStoreMessageType.GetPerms, "data/x\0"));
        Assert.Equal("14/1 OK|", Ask(XenStoreMessageType.SetPerms, "data/x\0r5\0b7\0"));
        Assert.Equal("3/1 r5|b7|", Ask(XenStoreMessageType.GetPerms, "/local/domain/5/data/x\0"));
        Assert.Equal("13/1 OK|", Ask(XenStoreMessageType.Rm, "data/x\0"));
        Assert.Equal("16/1 ENOENT|", Ask(XenStoreMessageType.Read, "data/x\0"));
        Assert.Equal("16/1 EACCES|", Ask(XenStoreMessageType.Write, "name\0me"));
        Assert.Equal("10/1 /local/domain/7|", Ask(XenStoreMessageType.GetDomainPath, "7\0"));
        Assert.Equal("17/1 F|", Ask(XenStoreMessageType.IsDomainIntroduced, "7\0"));
        Assert.Equal("17/1 T|", Ask(XenStoreMessageType.IsDomainIntroduced, "0\0"));
        Assert.Equal("21/1 OK|", Ask(XenStoreMessageType.ResetWatches, "\0"));
        Assert.Equal("16/1 EACCES|", Ask(XenStoreMessageType.Introduce, "7\01\01\0"));
        Assert.Equal("16/1 EACCES|", Ask(XenStoreMessageType.Control, "print\0x\0"));
        Assert.Equal("16/1 ENOSYS|", Ask(20, ""));
        Assert.Equal("16/1 ENOSYS|", Ask(uint.MaxValue, ""));
        Assert.Equal("16/1 ENOSYS|", Ask(XenStoreMessageType.WatchEvent, "a\0b\0"));
    }

    [Theory]
    [InlineData(XenStoreMessageType.Read, "")]
    [InlineData(XenStoreMessageType.Read, "data")]
    [InlineData(XenStoreMessageType.Read, "data\0data\0")]
    [InlineData(XenStoreMessageType.Write, "data/x")]
    [InlineData(XenStoreMessageType.Mkdir, "bad path\0")]
    [InlineData(XenStoreMessageType.Watch, "data\0")]
    [InlineData(XenStoreMessageType.Watch, "data\0token")]
    [InlineData(XenStoreMessageType.Unwatch, "")]
    [InlineData(XenStoreMessageType.SetPerms, "data\0")]
    [InlineData(XenStoreMessageType.SetPerms, "data\0x5\0")]
    [InlineData(XenStoreMessageType.SetPerms, "data\0r-1\0")]
    [InlineData(XenStoreMessageType.SetPerms, "data\0r99999999999\0")]
    [InlineData(XenStoreMessageType.SetPerms, "data\0r5")]
    [InlineData(XenStoreMessageType.GetDomainPath, "x\0")]
    [InlineData(XenStoreMessageType.GetDomainPath, "70000\0")]
    [InlineData(XenStoreMessageType.TransactionEnd, "X\0")]
    [InlineData(XenStoreMessageType.DirectoryPart, "data\0-1\0")]
    public void Malformed_requests_are_invalid(uint type, string payload) =>
        Assert.Equal("16/1 EINVAL|", Ask(type, payload));

    [Fact]
    public void The_watch_reply_comes_before_its_first_event()
    {
        _ring.Queue(XenStoreMessageType.Watch, "data\0tok\0", 7);
        Assert.Equal(["4/7 OK|", "15/0 data|tok|"], _ring.Settle(_session));
        _root.Put("/local/domain/5/data/a", "");
        Assert.Equal(["15/0 data/a|tok|"], _ring.Settle(_session));
        Assert.Equal("5/1 OK|", Ask(XenStoreMessageType.Unwatch, "data\0tok\0"));
        _root.Put("/local/domain/5/data/a", "");
        Assert.Empty(_ring.Settle(_session));
    }

    [Fact]
    public void Transactions_work_over_the_wire()
    {
        Assert.Equal("6/1 1|", Ask(XenStoreMessageType.TransactionStart, "\0"));
        Assert.Equal("11/1 OK|", Ask(XenStoreMessageType.Write, "data/x\01", 1));
        Assert.Equal("16/1 ENOENT|", Ask(XenStoreMessageType.Read, "data/x\0"));
        Assert.Equal("16/1 EBUSY|", Ask(XenStoreMessageType.TransactionStart, "\0", 1));
        Assert.Equal("16/1 ENOENT|", Ask(XenStoreMessageType.Read, "data/x\0", 99));
        _root.Put("/local/domain/5/data/x", "2");
        Assert.Equal("16/1 EAGAIN|", Ask(XenStoreMessageType.TransactionEnd, "T\0", 1));
        Assert.Equal("16/1 ENOENT|", Ask(XenStoreMessageType.TransactionEnd, "T\0", 1));
        Assert.Equal("16/1 ENOENT|", Ask(XenStoreMessageType.TransactionEnd, "T\0"));
    }

    [Fact]
    public void Long_lists_come_in_parts()
    {
        List<string> names = [.. Enumerable.Range(0, 900).Select(i => $"child-number-{i:D4}")];
        names.ForEach(n => _root.Put("/local/domain/5/data/" + n, ""));
        Assert.Equal("16/1 E2BIG|", Ask(XenStoreMessageType.Directory, "data\0"));
        StringBuilder all = new();
        while (!all.ToString().EndsWith("||", StringComparison.Ordinal))
        {
            string reply = Ask(XenStoreMessageType.DirectoryPart, $"data\0{all.Length}\0");
            Assert.StartsWith("22/1 ", reply);
            all.Append(reply.AsSpan(reply.IndexOf('|') + 1));
        }
        Assert.Equal(names, all.ToString().Split('|', StringSplitOptions.RemoveEmptyEntries));
        Assert.EndsWith("||", Ask(XenStoreMessageType.DirectoryPart, "data\099999\0") + "|");
    }

    [Fact]
    public void Many_requests_are_pipelined_in_order()
    {
        for (uint i = 0; i < 300; i++)
        {
            _ring.Queue(XenStoreMessageType.Write, $"data/k\0{i}", i);
        }
        Assert.Equal(Enumerable.Range(0, 300).Select(i => $"11/{i} OK|"), _ring.Settle(_session));
    }

    [Fact]
    public void Messages_larger_than_the_ring_pass()
    {
        string value = new('v', 2000);
        Assert.Equal("11/1 OK|", Ask(XenStoreMessageType.Write, "data/x\0" + value));
        Assert.Equal("2/1 " + value, Ask(XenStoreMessageType.Read, "data/x\0"));
    }

    [Theory]
    [InlineData(1025u, 0u, XenStoreError.Ringidx)]
    [InlineData(uint.MaxValue, 0u, XenStoreError.Ringidx)]
    public void An_impossible_request_index_ends_the_service(uint prod, uint rspCons, uint error)
    {
        _ring.Interface.ReqProd = prod;
        _ring.Interface.RspCons = rspCons;
        Assert.False(_session.Pump());
        Assert.Equal(error, _ring.Interface.Error);
        Assert.Equal(error, _session.Failure);
        Assert.False(_session.Pump());
    }

    [Fact]
    public void An_impossible_response_index_ends_the_service()
    {
        _ring.Queue(XenStoreMessageType.Read, "data\0");
        _ring.Exchange();
        _ring.Interface.RspCons = 1;
        Assert.False(_session.Pump());
        Assert.Equal(0u, _ring.Interface.RspProd);
        Assert.Equal(XenStoreError.Ringidx, _ring.Interface.Error);
    }

    [Fact]
    public void A_payload_that_is_too_long_ends_the_service()
    {
        XsdSockmsg header = new() { Type = XenStoreMessageType.Write, Len = 4097 };
        System.Runtime.InteropServices.MemoryMarshal.Write(_ring.Page, header);
        _ring.Interface.ReqProd = 16;
        Assert.False(_session.Pump());
        Assert.Equal(XenStoreError.Proto, _ring.Interface.Error);
    }

    [Fact]
    public void A_guest_that_does_not_read_costs_bounded_memory()
    {
        for (int i = 0; i < 100; i++)
        {
            _session.Session.Connection.AddWatch("data", i.ToString());
        }
        for (int i = 0; i < 5000; i++)
        {
            _root.Put($"/local/domain/5/data/{i}", "");
        }
        Assert.True(_session.Session.DroppedEvents > 0);
        Assert.True(_session.Session.QueuedBytes < 100_000);
        // Requests wait until the guest has taken its output.
        int before = _session.Session.QueuedBytes;
        for (int i = 0; i < 10; i++)
        {
            _ring.Queue(XenStoreMessageType.Read, "data\0");
        }
        _ring.Interface.RspCons = _ring.Interface.RspProd;
        _session.Pump();
        Assert.True(_session.Session.QueuedBytes <= before);
    }

    [Fact]
    public void An_event_that_waits_is_not_queued_twice()
    {
        _session.Session.Connection.AddWatch("data", "t");
        _ring.Settle(_session);
        for (int i = 0; i < 100; i++)
        {
            _root.Put("/local/domain/5/data/x", i.ToString());
        }
        Assert.Equal(["15/0 data/x|t|"], _ring.Settle(_session));
    }

    [Fact]
    public void A_thread_serves_the_ring_and_sleeps()
    {
        Store store = new();
        FakeRing ring = new();
        using RingServer server = new(store, 5, ring);
        ring.Queue(XenStoreMessageType.Read, "/\0", 3);
        ring.Exchange();
        server.Signal();
        Assert.True(SpinWait.SpinUntil(
            () => ring.Exchange() | true && ring.TakeMessages() is ["2/3 "], TimeSpan.FromSeconds(10)));
    }

    /// <summary>
    /// Any bytes, any indices, at any time: no exception, no endless loop, no write outside the page.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Hostile_rings_do_no_harm(int seed)
    {
        Random random = new(seed);
        int answered = 0;
        int failed = 0;
        for (int round = 0; round < 300; round++)
        {
            FakeRing ring = new();
            using RingSession session = new(_store, 5, ring, () => { });
            for (int i = 0; i < 100 && session.Failure == 0; i++)
            {
                random.NextBytes(ring.Page[..1024]);
                ref XenstoreDomainInterface page = ref ring.Interface;
                uint length = (uint)random.Next(150);
                PlaceHeader(ref page, (uint)random.Next(28), length);
                page.ReqProd = page.ReqCons + (random.Next(30) == 0 ? (uint)random.Next() : 16 + length);
                page.RspCons = random.Next(30) == 0 ? (uint)random.Next() : page.RspProd;
                uint before = page.RspProd;
                for (int pumps = 0; session.Pump(); pumps++)
                {
                    Assert.True(pumps < 100);
                }
                answered += page.RspProd != before ? 1 : 0;
            }
            failed += session.Failure != 0 ? 1 : 0;
        }
        // Both kinds of guest were met.
        Assert.True(answered > 1000 && failed > 100, $"{answered} answered, {failed} failed");
    }

    private static void PlaceHeader(ref XenstoreDomainInterface page, uint type, uint length)
    {
        Span<uint> words = [type, 1, 0, length];
        Span<byte> bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(words);
        for (int i = 0; i < bytes.Length; i++)
        {
            page.Req[(int)((page.ReqCons + (uint)i) % 1024)] = bytes[i];
        }
    }

    /// <summary>
    /// Requests made of plausible pieces, half of them broken, against a guest's connection.
    /// </summary>
    [Fact]
    public void Fuzzed_requests_are_always_answered()
    {
        Random random = new(11);
        string[] pieces =
        [
            "data", "/", "/local/domain/5/data/a/b", "\0", "\0\0", "T\0", "F\0", "n5\0", "r0\0", "//", "@x",
            "@introduceDomain\0",
            new string('a', 3000), "5\0", "99999999999999999999\0", "ÿ", "data/a\0",
            "data/a/b/c/d/e/f\0value", "..", "",
        ];
        WireCounter counter = new(_store);
        for (int i = 0; i < 50_000; i++)
        {
            string payload = string.Concat(
                Enumerable.Range(0, random.Next(4)).Select(_ => pieces[random.Next(pieces.Length)]));
            byte[] bytes = Encoding.Latin1.GetBytes(payload)[..Math.Min(payload.Length, 4096)];
            counter.Send((uint)random.Next(25), (uint)random.Next(12), bytes);
        }
        Assert.Equal(50_000, counter.Replies);
        Assert.True(_store.CountNodes(5) <= 1000);
        Assert.True(StorePath.IsNode("/local/domain/5"));
    }
}
