using System;
using Ryokan.Backends;
using Ryokan.Backends.Xenbus;
using Ryokan.DomainHost.Xenstore;
using Ryokan.Hypervisor;

namespace Ryokan.DomainHost.Devices;

/// <summary>The PV devices of one guest: their back ends run in this process, on one bus.</summary>
internal sealed class GuestDevices : IDisposable
{
    private readonly GuestAccess _access;

    public GuestDevices(Domain domain, GuestStore store)
    {
        _access = GuestAccess.Of(domain);
        Bus = new DeviceBus(store.Store, store.Tree, System.Console.Error.WriteLine);
    }

    public DeviceBus Bus { get; }

    /// <summary>Lets go of the guest and of what belongs to the host. Once is enough, twice does no harm.</summary>
    public void Dispose() => Bus.Dispose();
}
