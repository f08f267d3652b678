namespace Ryokan.Hypervisor.Vcpus;

/// <summary>A segment descriptor's fields (Intel SDM vol. 3, 3.4.5).</summary>
internal readonly record struct Descriptor(ulong Raw)
{
    public const ulong PresentBit = 1UL << 47, CodeOrDataBit = 1UL << 44, CodeBit = 1UL << 43, WritableBit = 1UL << 41,
        LongBit = 1UL << 53;

    /// <summary>Bits 46:45.</summary>
    public const ulong DplMask = 3UL << 45;

    public bool IsPresent => (Raw & PresentBit) != 0;

    public bool IsCodeOrData => (Raw & CodeOrDataBit) != 0;

    public bool IsLong => (Raw & LongBit) != 0;

    public int Dpl => (int)(Raw >> 45) & 3;

    public ulong Base => ((Raw >> 16) & 0xffffff) | ((Raw >> 32) & 0xff000000);

    public bool IsPresentCode => IsPresent && (Raw & (CodeOrDataBit | CodeBit)) == (CodeOrDataBit | CodeBit);

    public bool IsPresentWritableData =>
        IsPresent && (Raw & (CodeOrDataBit | CodeBit | WritableBit)) == (CodeOrDataBit | WritableBit);

    /// <summary>
    /// As Xen shows it to the CPU: code and data segments of a PV guest get DPL 3, because its kernel runs in
    /// ring 3 as well.
    /// </summary>
    public Descriptor Raised => IsPresent && IsCodeOrData ? new Descriptor(Raw | DplMask) : this;

    /// <summary>Xen refuses gates and system segments of 64-bit guests (update_descriptor: -EINVAL).</summary>
    public bool IsAllowed => !IsPresent || IsCodeOrData;
}
