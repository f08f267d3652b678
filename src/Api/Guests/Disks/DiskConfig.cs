namespace Ryokan.Api.Guests.Disks;

/// <summary>How a disk's contents are laid out in its host file.</summary>
public enum DiskImageFormat
{
    Raw, Qcow2,
}

/// <summary>A disk of a guest as its owner described it (xl-disk-configuration(5)). Immutable.</summary>
public sealed record DiskConfig
{
    /// <summary>Absolute path of a file or block device; null: a CD drive without a medium.</summary>
    public string? Path { get; init; }

    public DiskImageFormat Format { get; init; }

    /// <summary>"xvda", "hdc", "sda1", "d2p1" or a number: what the guest sees it as.</summary>
    public required string VirtualDevice { get; init; }

    public bool ReadOnly { get; init; }

    public bool IsCdRom { get; init; }

    /// <summary>Offer discard to the guest.</summary>
    public bool Discard { get; init; } = true;
}
