using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Ryokan.Backends.Network.Packets;
using Ryokan.Backends.Network.Ports;
using Ryokan.Backends.Network.Queues;
using Ryokan.Backends.Rings;
using Ryokan.Backends.Xenbus;
using Ryokan.Linux.Interop;
using Ryokan.Linux.Interop.Network;

namespace Ryokan.Backends.Network;

/// <summary>
/// The back end of a virtual network interface (xen/include/public/io/netif.h): one thread for each queue
/// between the front end's rings and the host's side.
/// </summary>
public sealed class NetworkBackend(GuestAccess guest, InterfaceOptions options, IPacketPort port)
    : DeviceBackend
{
    /// <summary>sizeof union of request and response in the two rings.</summary>
    private const int TxSlotBytes = 12, RxSlotBytes = 8;

    private readonly SourceFilter? _filter =
        options.Addresses.Count == 0 ? null : new SourceFilter([.. options.Mac], options.Addresses);

    private readonly RateLimit? _rate = options.RateBytes == 0 ? null
        : new RateLimit(options.RateBytes, options.RateIntervalMicroseconds, Futex.MonotonicNanoseconds);

    private readonly List<InterfaceQueue> _queues = [];

    public InterfaceOptions Options { get; } = options;

    public InterfaceCounters Counters { get; } = new();

    public override string Type => "vif";

    public override int Id => Options.Id;

    private string Handle => Id.ToString(CultureInfo.InvariantCulture);

    public override IEnumerable<KeyValuePair<string, string>> FrontendNodes
    {
        get
        {
            yield return new("handle", Handle);
            yield return new("mac", Options.MacText);
            if ((Options.Mtu ?? port.Mtu) is { } mtu)
            {
                yield return new("mtu", mtu.ToString(CultureInfo.InvariantCulture));
            }
        }
    }

    public override IEnumerable<KeyValuePair<string, string>> BackendNodes
    {
        get
        {
            yield return new("handle", Handle);
            yield return new("mac", Options.MacText);
            yield return new("type", "vif");
            if (Options.Addresses.Count > 0)
            {
                yield return new("ip", string.Join(' ', Options.Addresses));
            }
            if (Options.RateBytes != 0)
            {
                yield return new("rate", string.Create(
                    CultureInfo.InvariantCulture, $"{Options.RateBytes},{Options.RateIntervalMicroseconds}"));
            }
            foreach (KeyValuePair<string, string> node in Options.Nodes)
            {
                yield return node;
            }
        }
    }

    public override void Announce(DeviceNodes nodes)
    {
        foreach (string feature in (ReadOnlySpan<string>)[
            "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload",
            "feature-rx-copy", "feature-multicast-control", "feature-split-event-channels"])
        {
            nodes.WriteBackend(feature, 1);
        }
        nodes.WriteBackend("feature-rx-flip", 0);
        nodes.WriteBackend("multi-queue-max-queues", (ulong)port.MaxQueues);
        nodes.WriteBackend("hotplug-status", "connected");
    }

    public override void Connect(DeviceNodes nodes)
    {
        FrontendFeatures features = FrontendFeatures.Read(nodes);
        uint count = nodes.ReadOptionalNumber("multi-queue-num-queues", (uint)port.MaxQueues) ?? 1;
        if (count == 0)
        {
            throw new FrontendException("the front end wants 0 queues");
        }
        // A link that the host cannot bring up is no fault of the guest's, but it cannot be connected either.
        try
        {
            port.Connect(features.Offload, (int)count);
        }
        catch (HostNetworkException e)
        {
            throw new FrontendException(e.Message);
        }
        QueueContext context = new(guest, features, _filter, _rate, new MulticastFilter(), Counters);
        for (int i = 0; i < count; i++)
        {
            string prefix = count == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"queue-{i}/");
            _queues.Add(OpenQueue(nodes, context, prefix, i));
        }
        _queues.ForEach(q => q.Start());
    }

    private InterfaceQueue OpenQueue(DeviceNodes nodes, QueueContext context, string prefix, int index)
    {
        uint txReference = nodes.ReadNumber(prefix + "tx-ring-ref");
        uint rxReference = nodes.ReadNumber(prefix + "rx-ring-ref");
        (uint Tx, uint Rx) channels = nodes.ReadOptionalNumber(prefix + "event-channel-tx") is { } tx
            ? (tx, nodes.ReadNumber(prefix + "event-channel-rx"))
            : (nodes.ReadNumber(prefix + "event-channel"), nodes.ReadNumber(prefix + "event-channel"));
        BackRing txRing = new(RingPages.Map(guest, [txReference]), TxSlotBytes);
        BackRing rxRing;
        try
        {
            rxRing = new BackRing(RingPages.Map(guest, [rxReference]), RxSlotBytes);
        }
        catch
        {
            txRing.Dispose();
            throw;
        }
        string name = string.Create(CultureInfo.InvariantCulture, $"vif{Id}-q{index}");
        return new InterfaceQueue(context, name, port.Queue(index), (txRing, rxRing), channels, Fail);
    }

    public override void Disconnect()
    {
        _queues.ForEach(q => q.Dispose());
        _queues.Clear();
        port.Disconnect();
    }

    public override void Dispose()
    {
        port.Dispose();
        base.Dispose();
    }
}
