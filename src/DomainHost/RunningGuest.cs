using System;
using Ryokan.Api.Guests;
using Ryokan.DomainBuilder;
using Ryokan.DomainHost.Console;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor;

namespace Ryokan.DomainHost;

/// <summary>
/// One domain with everything that belongs to it, put together: memory, engine, hypervisor state, kernel, console.
/// This is the only place that knows all of them.
/// </summary>
internal sealed class RunningGuest : IDisposable
{
    private const int PagesPerMiB = 256;

    public Domain Domain { get; }
    public ConsoleHub Hub { get; }
    public ConsoleBackend Console { get; }

    public GuestStore Store { get; }

    public IGuestControl? Control => Store;

    private RunningGuest(Domain domain, ConsoleHub hub, ConsoleBackend console, GuestStore store) =>
        (Domain, Hub, Console, Store) = (domain, hub, console, store);

    /// <summary>Builds the domain; it does not run yet.</summary>
    /// <exception cref="DomainBuildException">the description does not do</exception>
    public static RunningGuest Create(GuestSpec spec, ConsoleHub hub)
    {
        GuestConfig config = spec.Config;
        GuestFrames frames = new((ulong)config.MaxMemoryMiB * PagesPerMiB);
        Domain domain = new(new DomainOptions
        {
            DomainId = spec.DomainId,
            Name = config.Name,
            Uuid = config.Uuid,
            Frames = frames,
            CreateEngine = EngineFactory.For(spec.EngineVariant),
            Vcpus = config.MaxVcpus,
            InitialPages = (ulong)config.MemoryMiB * PagesPerMiB,
            EarlyConsole = hub,
        });
        ConsoleBackend console = new(hub);
        GuestStore store = new();
        try
        {
            uint storePort = domain.AllocateBackendPort(store.Wake);
            uint consolePort = domain.AllocateBackendPort(console.Wake);
            PvImage image = PvDomainBuilder.Build(new PvBuildRequest
            {
                Kernel = config.Kernel,
                Ramdisk = config.Ramdisk,
                CommandLine = config.CommandLine,
                Pages = domain.InitialPages,
                SharedInfoMfn = domain.SharedInfoMfn,
                StorePort = storePort,
                ConsolePort = consolePort,
            }, frames);
            domain.SetInitialState(image.EntryVa, image.StackVa, image.StartInfoVa, image.RootMfn);
            store.Start(domain, spec, image, storePort, consolePort);
            console.Start(new ConsoleRing(frames, image.ConsoleMfn), () => domain.NotifyGuest(consolePort));
        }
        catch
        {
            store.Dispose();
            domain.Dispose();
            throw;
        }
        return new RunningGuest(domain, hub, console, store);
    }

    /// <summary>The domain must have stopped. What it had written last still reaches the hub.</summary>
    public void Dispose()
    {
        Console.Dispose();
        Store.Dispose();
        Domain.Dispose();
    }
}
