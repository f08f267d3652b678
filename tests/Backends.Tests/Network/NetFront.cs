using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Backends.Network;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Network;

/// <summary>
/// A front end for one interface with one queue, written from xen/include/public/io/netif.h.
/// </summary>
internal sealed class NetFront : IDisposable
{
    public const int Id = 0;

    private readonly List<(ulong Page, uint Reference)> _buffers = [];
    private uint _txPort, _rxPort;
    private int _rxTaken;

    public NetFront(InterfaceOptions? options = null, int queues = 1)
    {
        Guest = new ModelGuest();
        Port = new MemoryPort(queues);
        Backend = new NetworkBackend(
            Guest.Access, options ?? new InterfaceOptions { Id = Id, Mac = Frames.Guest }, Port);
        Assert.True(Guest.Bus.Add(Backend));
        Guest.WaitForBackend("vif", Id, XenbusState.InitWait);
    }

    public ModelGuest Guest { get; }

    public MemoryPort Port { get; }

    public NetworkBackend Backend { get; }

    public FrontRing Tx { get; private set; } = null!;

    public FrontRing Rx { get; private set; } = null!;

    /// <summary>
    /// Publishes rings and features ("name=value") and waits until the back end is connected.
    /// </summary>
    public void Connect(params string[] features)
    {
        Publish(features);
        Guest.SetState("vif", Id, XenbusState.Connected);
        Guest.WaitForBackend("vif", Id, XenbusState.Connected);
    }

    public void Publish(params string[] features)
    {
        Tx = new FrontRing(Guest, 1, 12);
        Rx = new FrontRing(Guest, 1, 8);
        (_txPort, _rxPort) = (Guest.Port(), Guest.Port());
        Guest.WriteFront("vif", Id, "tx-ring-ref", Tx.References[0]);
        Guest.WriteFront("vif", Id, "rx-ring-ref", Rx.References[0]);
        Guest.WriteFront("vif", Id, "event-channel-tx", _txPort);
        Guest.WriteFront("vif", Id, "event-channel-rx", _rxPort);
        foreach (string feature in (IEnumerable<string>)[
            "request-rx-copy=1", "feature-rx-notify=1", "feature-sg=1", "feature-gso-tcpv4=1",
            "feature-gso-tcpv6=1", "feature-ipv6-csum-offload=1", .. features])
        {
            string[] parts = feature.Split('=');
            Guest.WriteFront("vif", Id, parts[0], parts[1]);
        }
    }

    /// <summary>A page with these bytes at an offset, granted read-only.</summary>
    public uint Granted(ReadOnlySpan<byte> bytes, int offset = 0)
    {
        ulong page = Guest.Page();
        bytes.CopyTo(Guest.Bytes(page)[offset..]);
        return Guest.Grant(page, readOnly: true);
    }

    /// <summary>Puts the requests of a frame into the ring, in pieces of at most that size.</summary>
    public void Send(byte[] frame, ushort flags = 0, int piece = 4096, NetifExtraInfo? extra = null)
    {
        int first = Math.Min(piece, frame.Length);
        ushort extraFlag = extra != null ? NetTxFlags.ExtraInfo : (ushort)0;
        for (int at = 0, i = 0; at < frame.Length; i++)
        {
            int n = Math.Min(piece, frame.Length - at);
            bool more = at + n < frame.Length;
            Tx.Put(new NetifTxRequest
            {
                Gref = Granted(frame.AsSpan(at, n), i % 7 * 10 % (4097 - n)),
                Offset = (ushort)(i % 7 * 10 % (4097 - n)),
                Flags = (ushort)((i == 0 ? flags | extraFlag : 0) | (more ? NetTxFlags.MoreData : 0)),
                Id = (ushort)i,
                Size = (ushort)(i == 0 ? frame.Length : n),
            });
            if (i == 0 && extra != null)
            {
                Tx.Put(extra.Value);
            }
            at += n;
        }
        Kick();
    }

    public void Kick()
    {
        Tx.Publish();
        Guest.Send(_txPort);
    }

    /// <summary>Offers that many buffers.</summary>
    public void Offer(int count)
    {
        for (int i = 0; i < count; i++)
        {
            ulong page = Guest.Page();
            uint reference = Guest.Grant(page);
            _buffers.Add((page, reference));
            Rx.Put(new NetifRxRequest { Id = (ushort)(_buffers.Count - 1), Gref = reference });
        }
        Rx.Publish();
        Guest.Send(_rxPort);
    }

    public NetifTxResponse TxResponse()
    {
        NetifTxResponse response = default;
        ModelGuest.WaitFor(() => Tx.TryTake(out response), () => "no response to a transmit request");
        return response;
    }

    /// <summary>The next frame that arrived, its first flags and its extra info.</summary>
    public (byte[] Frame, int Flags, NetifExtraInfo Extra) Receive()
    {
        List<byte> frame = [];
        NetifRxResponse response = RxResponse();
        int flags = response.Flags;
        NetifExtraInfo extra = default;
        Append(frame, response);
        if ((flags & NetRxFlags.ExtraInfo) != 0)
        {
            ModelGuest.WaitFor(() => Rx.TryTake(out extra), () => "no extra info");
            _rxTaken++;
        }
        while ((response.Flags & NetRxFlags.MoreData) != 0)
        {
            response = RxResponse();
            Append(frame, response);
        }
        return ([.. frame], flags, extra);
    }

    private void Append(List<byte> frame, NetifRxResponse response)
    {
        Assert.InRange(response.Status, 1, 4096);
        // A front end finds the buffer by the place of the response in the ring.
        Assert.Equal(_rxTaken - 1, response.Id);
        (ulong page, uint reference) = _buffers[response.Id];
        frame.AddRange(Guest.Bytes(page).Slice(response.Offset, response.Status));
        Assert.True(Guest.Revoke(reference), "the back end still holds a buffer that it answered");
    }

    public NetifRxResponse RxResponse()
    {
        NetifRxResponse response = default;
        ModelGuest.WaitFor(() => Rx.TryTake(out response), () => "no response to a receive request");
        _rxTaken++;
        return response;
    }

    public void Dispose() => Guest.Dispose();
}
