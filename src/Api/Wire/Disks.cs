using Ryokan.Api.Guests.Disks;

namespace Ryokan.Api.Wire;

/// <summary>A disk of a running domain: GET /v1/domains/{domain}/disks.</summary>
public sealed record DiskInfo
{
    /// <summary>"xvda".</summary>
    public required string VirtualDevice { get; init; }

    /// <summary>Xen's number of the device.</summary>
    public required int DeviceId { get; init; }

    /// <summary>File or block device of the host; null: no medium.</summary>
    public string? Path { get; init; }
    public required DiskImageFormat Format { get; init; }
    public required bool ReadOnly { get; init; }
    public required bool IsCdRom { get; init; }
    public required ulong SizeBytes { get; init; }

    /// <summary>State of the back end (xenbus): 4 is connected.</summary>
    public required int State { get; init; }

    /// <summary>What the guest chose for its (first) ring; null while it has not connected.</summary>
    public uint? EventChannel { get; init; }
    public uint? RingReference { get; init; }

    /// <summary>The back end's directory in xenstore.</summary>
    public required string BackendPath { get; init; }
}

/// <summary>PATCH /v1/domains/{domain}/disks/{device}: one of these.</summary>
public sealed record DiskChange
{
    /// <summary>New size.</summary>
    public ulong? SizeBytes { get; init; }

    /// <summary>Look how large the image or block device is now.</summary>
    public bool Refresh { get; init; }

    /// <summary>Another medium for a CD drive.</summary>
    public string? MediumPath { get; init; }
    public DiskImageFormat MediumFormat { get; init; }

    /// <summary>Take the medium out of a CD drive.</summary>
    public bool Eject { get; init; }
}
