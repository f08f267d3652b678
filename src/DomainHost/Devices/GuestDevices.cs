using System;
using Ryokan.Api.Guests;
using Ryokan.Backends;
using Ryokan.Backends.Xenbus;
using Ryokan.DomainHost.Boot;
using Ryokan.DomainHost.Xenstore;
using Ryokan.Hypervisor;

namespace Ryokan.DomainHost.Devices;

/// <summary>The PV devices of one guest: their back ends run in this process, on one bus.</summary>
internal sealed class GuestDevices : IDisposable
{
    /// <param name="domain">the guest</param>
    /// <param name="store">its store</param>
    /// <param name="config">its description</param>
    /// <param name="log">gets lines for the operator; any thread</param>
    /// <exception cref="OperatorException">a device of the description cannot be made; nothing is left
    /// open</exception>
    public GuestDevices(Domain domain, GuestStore store, GuestConfig config, Action<string> log)
    {
        Bus = new DeviceBus(store.Store, store.Tree, log);
        Disks = new GuestDisks(domain, Bus, log);
        Network = new GuestNetwork(domain, Bus, log);
        try
        {
            Disks.AttachAll(config.Disks);
            if (config.CloudInit is { } userData)
            {
                using MemoryFile seed = CloudInitSeed.Make(userData, config.Name, config.Uuid);
                Disks.AttachSeed(userData, seed.Path);
            }
            Network.AttachAll(config.Vifs);
            if (config.Screen is { } vfb)
            {
                Screen = new GuestScreen(domain, Bus, config.Name, vfb);
                if (Screen.Info is { } info)
                {
                    store.Tree.SetScreen(info.Address, info.Port);
                }
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public DeviceBus Bus { get; }

    public GuestDisks Disks { get; }

    public GuestNetwork Network { get; }

    /// <summary>Null: it has none.</summary>
    public GuestScreen? Screen { get; }

    /// <summary>Lets go of the guest and of what belongs to the host. Once is enough, twice does no harm.</summary>
    public void Dispose()
    {
        Screen?.Dispose();
        Bus.Dispose();
    }
}
