using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using Ryokan.Api.Guests.Network;
using Ryokan.Backends;
using Ryokan.Backends.Network;
using Ryokan.Backends.Network.Ports;
using Ryokan.Backends.Xenbus;
using Ryokan.Hypervisor;
using Ryokan.Linux.Interop.Network;

namespace Ryokan.DomainHost.Devices;

/// <summary>
/// The network interfaces of one guest: at its start, and as they come and go while it runs.
/// </summary>
internal sealed class GuestNetwork(Domain domain, DeviceBus bus, Action<string> log)
{
    private const string Type = "vif";

    /// <summary>More queues than this gain nothing.</summary>
    private const int MaxQueues = 4;

    private const int MaxInterfaces = 32;

    /// <summary>How long a guest gets to let go of an interface.</summary>
    private static readonly TimeSpan s_detachPatience = TimeSpan.FromSeconds(10);

    private readonly object _lock = new();

    /// <summary>Adds the interfaces of a description.</summary>
    /// <exception cref="OperatorException">one cannot be made</exception>
    public void AttachAll(IReadOnlyList<VifConfig> vifs)
    {
        foreach (VifConfig vif in vifs)
        {
            Attach(vif);
        }
    }

    /// <summary>Adds an interface; the guest is told.</summary>
    /// <exception cref="OperatorException">the id or the MAC address is taken, or the host
    /// refuses</exception>
    public DeviceStatus Attach(VifConfig vif)
    {
        lock (_lock)
        {
            IReadOnlyList<DeviceStatus> present = List();
            int id = vif.DeviceId ?? LowestFree(present);
            string mac = vif.Mac ?? VifConfig.MacFor(domain.Uuid, id);
            if (present.Count >= MaxInterfaces)
            {
                throw new OperatorException($"a guest has at most {MaxInterfaces} interfaces");
            }
            foreach (NetworkBackend other in present.Select(d => (NetworkBackend)d.Backend))
            {
                if (other.Id == id || other.Options.MacText == mac)
                {
                    throw new OperatorException($"vif {id}: the guest has an interface"
                        + (other.Id == id ? " of that number already" : $" with the address {mac} already"));
                }
            }
            try
            {
                Add(vif, id, mac);
            }
            catch (HostNetworkException e)
            {
                throw new OperatorException($"vif {id}: {e.Message}");
            }
            return List().First(d => d.Backend.Id == id);
        }
    }

    private static int LowestFree(IReadOnlyList<DeviceStatus> present)
    {
        int id = 0;
        while (present.Any(d => d.Backend.Id == id))
        {
            id++;
        }
        return id;
    }

    private void Add(VifConfig vif, int id, string mac)
    {
        IPacketPort port = OpenPort(vif, id, out List<KeyValuePair<string, string>> nodes);
        NetworkBackend backend = new(GuestAccess.Of(domain), new InterfaceOptions
        {
            Id = id,
            Mac = [.. mac.Split(':').Select(p => byte.Parse(p, NumberStyles.AllowHexSpecifier))],
            Addresses = [.. vif.Addresses.Select(IPAddress.Parse)],
            RateBytes = vif.RateBytes,
            RateIntervalMicroseconds = vif.RateIntervalMicroseconds,
            Mtu = vif.Mtu,
            Nodes = nodes,
        }, port);
        if (!bus.Add(backend))
        {
            backend.Dispose();
            throw new OperatorException($"vif {id}: the guest has one already");
        }
    }

    private IPacketPort OpenPort(VifConfig vif, int id, out List<KeyValuePair<string, string>> nodes)
    {
        nodes = [];
        string bridge = vif.Bridge ?? VifConfig.DefaultBridge;
        string why = $"there is no bridge {bridge}";
        if (vif.Kind == VifKind.Bridge || (vif.Kind == VifKind.Automatic && NetworkDevice.IsBridge(bridge)))
        {
            try
            {
                TapPort tap = TapPort.Open(TapName(vif, id), bridge, Queues, vif.Mtu);
                nodes.Add(new("bridge", bridge));
                nodes.Add(new("vifname", tap.Name));
                return tap;
            }
            catch (HostNetworkException e) when (vif.Kind == VifKind.Automatic)
            {
                why = e.Message;
            }
            catch (HostNetworkException e)
            {
                throw new HostNetworkException($"{e.Message}; without a bridge there is type=user");
            }
        }
        if (vif.Kind == VifKind.Automatic)
        {
            log($"vif {id}: {why}; user-mode network instead");
        }
        return new PasstPort(Passt(vif), text => log($"vif {id}: {text}"));
    }

    private int Queues => Math.Min(domain.VcpuCount, Math.Min(Environment.ProcessorCount, MaxQueues));

    /// <summary>Another set of domains on this host may have the usual name.</summary>
    private string TapName(VifConfig vif, int id)
    {
        string usual = string.Create(CultureInfo.InvariantCulture, $"vif{domain.Id}.{id}");
        return vif.InterfaceName ?? (NetworkDevice.Exists(usual) ? "vif-ry%d" : usual);
    }

    private static PasstOptions Passt(VifConfig vif)
    {
        PasstOptions options = new()
        {
            Forwards = [.. vif.Forwards.Select(f => new PortForward(
                f.IsUdp, f.HostAddress == null ? null : IPAddress.Parse(f.HostAddress),
                f.HostPort, f.GuestPort))],
        };
        string? address = vif.Addresses.FirstOrDefault(a => !a.Contains(':', StringComparison.Ordinal));
        if (address != null)
        {
            // The gateway of the same /24, so that the guest can reach it.
            IPAddress own = IPAddress.Parse(address);
            byte[] gateway = own.GetAddressBytes();
            gateway[3] = (byte)(gateway[3] == 2 ? 1 : 2);
            options = options with { Address = own, Gateway = new IPAddress(gateway) };
        }
        return vif.Mtu is { } mtu ? options with { Mtu = mtu } : options;
    }

    /// <summary>Takes an interface away, when the guest has let go of it or at once.</summary>
    /// <param name="device">device id or MAC address</param>
    /// <param name="force">do not wait for the guest</param>
    /// <exception cref="OperatorException">there is none, or the guest keeps it</exception>
    public void Detach(string device, bool force)
    {
        DeviceStatus? found = List().FirstOrDefault(d => device.Contains(':', StringComparison.Ordinal)
            ? ((NetworkBackend)d.Backend).Options.MacText == device.ToLowerInvariant()
            : d.Backend.Id.ToString(CultureInfo.InvariantCulture) == device);
        RemovalOutcome outcome = found == null ? RemovalOutcome.NoSuchDevice
            : bus.Remove(Type, found.Backend.Id, force, s_detachPatience).GetAwaiter().GetResult();
        switch (outcome)
        {
            case RemovalOutcome.NoSuchDevice:
                throw new OperatorException($"the guest has no interface '{device}'");
            case RemovalOutcome.GuestKeepsIt:
                throw new OperatorException($"vif {device}: the guest has not let go of it after"
                    + $" {s_detachPatience.TotalSeconds} s; it goes when the guest does, or now with --force");
        }
    }

    public IReadOnlyList<DeviceStatus> List() => bus.List(Type);
}
