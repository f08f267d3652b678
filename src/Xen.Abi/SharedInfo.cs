using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>The x86-64 part of <see cref="VcpuInfo"/> (arch-x86/xen-x86_64.h).</summary>
[CName("struct arch_vcpu_info")]
[StructLayout(LayoutKind.Sequential)]
public struct ArchVcpuInfo
{
    public ulong Cr2;
    private ulong _pad;
}

/// <summary>Per-vCPU words that guest and hypervisor share; 64 bytes (xen.h).</summary>
[CName("struct vcpu_info")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuInfo
{
    public byte EvtchnUpcallPending;
    public byte EvtchnUpcallMask;

    /// <summary>Bit n: word n of the pending bitmap has work (two-level ABI).</summary>
    public ulong EvtchnPendingSel;
    public ArchVcpuInfo Arch;
    public VcpuTimeInfo Time;
}

/// <summary>
/// The x86 part of <see cref="SharedInfo"/>; written by the guest for tools (arch-x86/xen.h).
/// </summary>
[CName("struct arch_shared_info")]
[StructLayout(LayoutKind.Sequential)]
public struct ArchSharedInfo
{
    public ulong MaxPfn;
    public ulong PfnToMfnFrameListList;
    public ulong NmiReason;
    public ulong P2mCr3;
    public ulong P2mVaddr;
    public ulong P2mGeneration;
}

/// <summary>The page that every guest shares with the hypervisor (xen.h).</summary>
[CName("struct shared_info")]
[StructLayout(LayoutKind.Sequential)]
public struct SharedInfo
{
    public Array32<VcpuInfo> VcpuInfo;
    public Array64<ulong> EvtchnPending;
    public Array64<ulong> EvtchnMask;
    public uint WcVersion;

    /// <summary>UTC at system time 0; seconds since 1970, low half.</summary>
    public uint WcSec;
    public uint WcNsec;
    public uint WcSecHi;
    public ArchSharedInfo Arch;

    /// <summary>vCPUs that have a vcpu_info in this page without registering one.</summary>
    [CName("XEN_LEGACY_MAX_VCPUS")] public const int LegacyMaxVcpus = 32;
}
