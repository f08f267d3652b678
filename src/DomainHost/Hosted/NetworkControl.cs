using System;
using System.Globalization;
using System.Linq;
using Ryokan.Api.Control;
using Ryokan.Api.Wire;
using Ryokan.Backends.Network;
using Ryokan.Backends.Xenbus;
using Ryokan.DomainHost.Devices;

namespace Ryokan.DomainHost.Hosted;

/// <summary>Answers control requests about network interfaces.</summary>
internal static class NetworkControl
{
    public static ControlReply Handle(GuestNetwork network, NetworkRequest? request)
    {
        try
        {
            switch (request)
            {
                case { Operation: NetworkOperation.List }:
                    return new ControlReply(Interfaces: [.. network.List().Select(Describe)]);
                case { Operation: NetworkOperation.Attach, Vif: { } vif }:
                    return new ControlReply(Interfaces: [Describe(network.Attach(vif))]);
                case { Operation: NetworkOperation.Detach, Device: { } device }:
                    network.Detach(device, request.Force);
                    return new ControlReply();
                default:
                    return ControlServer.Refuse(400, ProblemCodes.BadRequest,
                        "not a request about interfaces");
            }
        }
        catch (OperatorException e)
        {
            return ControlServer.Refuse(409, ProblemCodes.InterfaceRefused, e.Message);
        }
        catch (ObjectDisposedException)
        {
            return ControlServer.Refuse(409, ProblemCodes.WrongState, "the domain is stopping");
        }
    }

    private static InterfaceInfo Describe(DeviceStatus status)
    {
        NetworkBackend backend = (NetworkBackend)status.Backend;
        InterfaceCounters counters = backend.Counters;
        DeviceNodes? nodes = status.State == Xen.Abi.XenbusState.Connected ? status.Nodes : null;
        return new InterfaceInfo
        {
            DeviceId = backend.Id,
            Mac = backend.Options.MacText,
            State = status.State,
            EventChannel = Number(nodes, "event-channel-tx") ?? Number(nodes, "event-channel"),
            TxRingReference = Number(nodes, "tx-ring-ref"),
            RxRingReference = Number(nodes, "rx-ring-ref"),
            BackendPath = status.Nodes.BackendPath,
            HostInterface = status.Nodes.ReadBackend("vifname"),
            Bridge = status.Nodes.ReadBackend("bridge"),
            Addresses = [.. backend.Options.Addresses.Select(a => a.ToString())],
            SentPackets = counters.SentPackets,
            SentBytes = counters.SentBytes,
            SentDropped = counters.SentDropped,
            ReceivedPackets = counters.ReceivedPackets,
            ReceivedBytes = counters.ReceivedBytes,
            ReceivedDropped = counters.ReceivedDropped,
        };
    }

    /// <summary>A node of the first queue, wherever the guest put it.</summary>
    private static uint? Number(DeviceNodes? nodes, string name)
    {
        string? text = nodes?.ReadFrontend(name) ?? nodes?.ReadFrontend("queue-0/" + name);
        bool valid = uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value);
        return valid ? value : null;
    }
}
