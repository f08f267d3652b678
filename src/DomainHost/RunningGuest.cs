using System;
using Ryokan.Api.Guests;
using Ryokan.DomainBuilder;
using Ryokan.DomainHost.Boot;
using Ryokan.DomainHost.Console;
using Ryokan.DomainHost.Devices;
using Ryokan.DomainHost.Xenstore;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor;

namespace Ryokan.DomainHost;

/// <summary>
/// One domain with everything that belongs to it, put together: memory, engine, hypervisor state, kernel,
/// console. This is the only place that knows all of them.
/// </summary>
internal sealed class RunningGuest : IDisposable
{
    private const int PagesPerMiB = 256;

    public Domain Domain { get; }
    public ConsoleHub Hub { get; }
    public ConsoleBackend Console { get; }

    /// <summary>What the guest can be asked to do by itself.</summary>
    public IGuestControl Control => _store;

    /// <summary>Its disks and the like.</summary>
    public GuestDevices Devices { get; }

    private readonly GuestStore _store;

    private RunningGuest(
        Domain domain, ConsoleHub hub, ConsoleBackend console, GuestStore store, GuestDevices devices) =>
        (Domain, Hub, Console, _store, Devices) = (domain, hub, console, store, devices);

    /// <summary>Builds the domain; it does not run yet.</summary>
    /// <param name="spec">what to build</param>
    /// <param name="hub">where its console output goes</param>
    /// <param name="log">gets lines for the operator while it runs; any thread</param>
    /// <param name="storeSocket">where tools of the host can reach its store, or null</param>
    /// <exception cref="DomainBuildException">the description does not do</exception>
    /// <exception cref="OperatorException">a device of the description does not do, or its first disk does not
    /// boot</exception>
    public static RunningGuest Create(
        GuestSpec spec, ConsoleHub hub, Action<string> log, string? storeSocket = null)
    {
        GuestConfig config = spec.Config;
        GuestFrames frames = new((ulong)config.MaxMemoryMiB * PagesPerMiB);
        Domain domain = new(new DomainOptions
        {
            DomainId = spec.DomainId,
            Name = config.Name,
            Uuid = config.Uuid,
            Frames = frames,
            CreateEngine = EngineFactory.For(spec),
            Vcpus = config.MaxVcpus,
            InitialPages = (ulong)config.MemoryMiB * PagesPerMiB,
            EarlyConsole = hub,
        });
        ConsoleBackend console = new(hub);
        GuestStore? store = null;
        GuestDevices? devices = null;
        try
        {
            using BootSource boot = BootSource.Find(config);
            uint storePort = domain.AllocateBackendPort(() => store?.Wake());
            uint consolePort = domain.AllocateBackendPort(console.Wake);
            PvImage image = PvDomainBuilder.Build(new PvBuildRequest
            {
                Kernel = boot.Kernel,
                Ramdisk = boot.Ramdisk,
                CommandLine = boot.CommandLine,
                Pages = domain.InitialPages,
                SharedInfoMfn = domain.SharedInfoMfn,
                StorePort = storePort,
                ConsolePort = consolePort,
            }, frames);
            domain.SetInitialState(image.EntryVa, image.StackVa, image.StartInfoVa, image.RootMfn);
            domain.Grants.SetReserved(image.ConsoleMfn, image.StoreMfn);
            store = new GuestStore(spec, domain, image, (storePort, consolePort), storeSocket);
            console.Start(new ConsoleRing(frames, image.ConsoleMfn), () => domain.NotifyGuest(consolePort));
            devices = new GuestDevices(domain, store, config, log);
            return new RunningGuest(domain, hub, console, store, devices);
        }
        catch
        {
            devices?.Dispose();
            store?.Dispose();
            domain.Dispose();
            throw;
        }
    }

    /// <summary>Lets a paused guest go on.</summary>
    public void Unpause()
    {
        Devices.Disks.Resume();
        Domain.Unpause();
    }

    /// <summary>The domain must have stopped. What it had written last still reaches the hub.</summary>
    public void Dispose()
    {
        Console.Dispose();
        Devices.Dispose();
        _store.Dispose();
        Domain.Dispose();
    }
}
