using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;
using Ryokan.Backends.Rings;
using Ryokan.Backends.Xenbus;
using Ryokan.Storage;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Block;

/// <summary>What a guest's disk is.</summary>
public sealed record BlockDeviceOptions
{
    /// <summary>As the guest's owner calls it: "xvda".</summary>
    public required string Name { get; init; }

    /// <summary>Xen's virtual device number (xen-vbd-interface(7)).</summary>
    public required int VirtualDevice { get; init; }

    /// <summary>A drive whose medium can change and be absent; always read-only.</summary>
    public bool IsCdRom { get; init; }

    public bool IsReadOnly { get; init; }

    /// <summary>Offer discard when the image can make use of it.</summary>
    public bool Discard { get; init; } = true;

    /// <summary>Format and path, for the "params" node.</summary>
    public string Parameters { get; init; } = "";
}

/// <summary>
/// The back end of one disk (vbd; xen/include/public/io/blkif.h): rings of one or more pages, one or more of
/// them, direct and indirect requests of 32- and 64-bit front ends, flush, barrier, discard.
/// </summary>
public sealed class BlockDevice : DeviceBackend
{
    /// <summary>Rings of one disk; Linux makes at most one for each vCPU.</summary>
    public const int MaxQueues = 4;

    /// <summary>log2 of the most pages of a ring: 512 requests.</summary>
    public const int MaxRingPageOrder = 4;

    private const int MaxLoggedErrors = 8;
    private const int PhysicalSectorBytes = 4096;

    private readonly GuestAccess _guest;
    private readonly BlockDeviceOptions _options;
    private readonly SpaceGate _space;
    private readonly Action<string> _log;
    private readonly List<BlockQueue> _queues = [];
    private IDisk? _disk;
    private string _parameters;
    private int _errors;

    /// <param name="guest">whose disk</param>
    /// <param name="options">what it is</param>
    /// <param name="disk">the medium, the device's own from now on; null for a drive without one</param>
    /// <param name="space">where writes wait for room on the host</param>
    /// <param name="log">gets one line for each error of the host, a few of them at most</param>
    public BlockDevice(
        GuestAccess guest, BlockDeviceOptions options, IDisk? disk, SpaceGate space, Action<string> log)
    {
        (_guest, _options, _disk, _space, _log) = (guest, options, disk, space, log);
        _parameters = options.Parameters;
    }

    public override string Type => "vbd";

    public override int Id => _options.VirtualDevice;

    public string Name => _options.Name;

    public BlockDeviceOptions Options => _options;

    /// <summary>The medium; null: none.</summary>
    public IDisk? Disk => Volatile.Read(ref _disk);

    internal bool OffersDiscard => _options.Discard && Disk is { IsReadOnly: false };

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, string>> FrontendNodes =>
    [
        new("virtual-device", Number(_options.VirtualDevice)),
        new("device-type", _options.IsCdRom ? "cdrom" : "disk"),
    ];

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, string>> BackendNodes =>
    [
        new("dev", _options.Name),
        new("type", "file"),
        new("params", _parameters),
        new("mode", _options.IsReadOnly ? "r" : "w"),
        new("device-type", _options.IsCdRom ? "cdrom" : "disk"),
        new("removable", _options.IsCdRom ? "1" : "0"),
        new("bootable", "1"),
        new("discard-enable", _options.Discard ? "1" : "0"),
    ];

    /// <inheritdoc/>
    public override void Announce(DeviceNodes nodes)
    {
        nodes.WriteBackend("max-ring-page-order", MaxRingPageOrder);
        nodes.WriteBackend("max-ring-pages", 1 << MaxRingPageOrder);
        nodes.WriteBackend("multi-queue-max-queues", MaxQueues);
        nodes.WriteBackend("feature-max-indirect-segments", BlockProtocol.MaxIndirectSegments);
        nodes.WriteBackend("feature-flush-cache", 1);
        nodes.WriteBackend("feature-barrier", 1);
        // Zero copy is cheaper than the copies that a guest makes into persistently granted pages.
        nodes.WriteBackend("feature-persistent", 0);
        if (OffersDiscard)
        {
            nodes.WriteBackend("feature-discard", 1);
            nodes.WriteBackend("discard-granularity", Disk!.DiscardGranularityBytes);
            nodes.WriteBackend("discard-alignment", 0);
            nodes.WriteBackend("discard-secure", 0);
        }
        WriteProperties(nodes);
    }

    private void WriteProperties(DeviceNodes nodes)
    {
        ulong bytes = Disk?.SizeBytes ?? 0;
        uint info = (_options.IsCdRom ? VdiskInfo.Cdrom | VdiskInfo.Removable : 0)
            | (_options.IsReadOnly ? VdiskInfo.Readonly : 0);
        nodes.WriteBackend("sector-size", BlockRequest.SectorBytes);
        nodes.WriteBackend("physical-sector-size",
            bytes % PhysicalSectorBytes == 0 ? PhysicalSectorBytes : (ulong)BlockRequest.SectorBytes);
        nodes.WriteBackend("sectors", bytes / BlockRequest.SectorBytes);
        nodes.WriteBackend("info", info);
    }

    /// <inheritdoc/>
    public override void Connect(DeviceNodes nodes)
    {
        BlockProtocol protocol = BlockProtocol.Named(nodes.ReadFrontend("protocol"));
        uint queues = nodes.ReadOptionalNumber("multi-queue-num-queues", MaxQueues) ?? 1;
        if (queues == 0)
        {
            throw new FrontendException($"{nodes.FrontendPath}/multi-queue-num-queues is 0");
        }
        for (int i = 0; i < queues; i++)
        {
            string prefix = queues == 1 ? "" : $"queue-{i}/";
            ConnectQueue(nodes, protocol, prefix, i);
        }
        WriteProperties(nodes);
        _queues.ForEach(q => q.Start());
    }

    private void ConnectQueue(DeviceNodes nodes, BlockProtocol protocol, string prefix, int number)
    {
        BackRing ring = new(RingPages.Map(_guest, RingReferences(nodes, prefix)), protocol.SlotBytes);
        try
        {
            uint port = nodes.ReadNumber(prefix + "event-channel");
            _queues.Add(new BlockQueue(_guest, this, protocol, ring, port, number, Fail));
        }
        catch (FrontendException)
        {
            ring.Dispose();
            throw;
        }
    }

    /// <summary>A ring of one page has "ring-ref"; larger ones a number of pages and "ring-ref0", ...</summary>
    private static uint[] RingReferences(DeviceNodes nodes, string prefix)
    {
        uint? order = nodes.ReadOptionalNumber("ring-page-order", MaxRingPageOrder);
        uint pages = order is { } o ? 1u << (int)o
            : nodes.ReadOptionalNumber("num-ring-pages", 1 << MaxRingPageOrder) ?? 1;
        bool single = pages == 1 && nodes.ReadFrontend(prefix + "ring-ref") != null;
        uint[] references = new uint[pages];
        for (int i = 0; i < pages; i++)
        {
            references[i] = nodes.ReadNumber(prefix + (single ? "ring-ref" : $"ring-ref{i}"));
        }
        return references;
    }

    /// <inheritdoc/>
    public override void Disconnect()
    {
        _queues.ForEach(q => q.BeginStop());
        _space.Wake();
        _queues.ForEach(q => q.Dispose());
        _queues.Clear();
    }

    /// <summary>
    /// Makes the disk larger, or looks how large its owner made it (null), and tells the guest. Call it by way of
    /// <see cref="DeviceBus.Update"/>.
    /// </summary>
    /// <exception cref="DiskException">the image cannot be that large</exception>
    public void Resize(DeviceNodes nodes, ulong bytes)
    {
        Disk!.Resize(bytes);
        WriteProperties(nodes);
    }

    /// <summary>
    /// Puts another medium (null: none) into the drive and tells the guest; the old one is closed when no request
    /// is under way. Call it by way of <see cref="DeviceBus.Update"/>.
    /// </summary>
    public void ChangeMedium(DeviceNodes nodes, IDisk? disk, string parameters)
    {
        _queues.ForEach(q => q.Quiesce());
        IDisk? old = Interlocked.Exchange(ref _disk, disk);
        _queues.ForEach(q => q.Resume());
        old?.Dispose();
        _parameters = parameters;
        nodes.WriteBackend("params", parameters);
        WriteProperties(nodes);
    }

    /// <summary>Format and path of the medium.</summary>
    public string Parameters => _parameters;

    internal bool WaitForSpace(DiskException e, Func<bool> isStopping) =>
        _space.Wait($"{Name}: {e.Message}", isStopping);

    /// <summary>The host failed a request; the guest gets an error, the operator a line.</summary>
    internal void NoteError(DiskException e)
    {
        int count = Interlocked.Increment(ref _errors);
        if (count <= MaxLoggedErrors)
        {
            string last = count == MaxLoggedErrors ? " (further errors are not logged)" : "";
            _log($"{Name}: {e.Message}{last}");
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Interlocked.Exchange(ref _disk, null)?.Dispose();
        base.Dispose();
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
