using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>
/// The pvclock record: ns = system_time + (((tsc - tsc_timestamp) shifted by tsc_shift) * mul >> 32);
/// version is odd while it is written; 32 bytes (xen.h).
/// </summary>
[CName("struct vcpu_time_info")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuTimeInfo
{
    public uint Version;
    private uint _pad0;
    public ulong TscTimestamp;

    /// <summary>Nanoseconds.</summary>
    public ulong SystemTime;
    public uint TscToSystemMul;
    public sbyte TscShift;

    /// <summary><see cref="PvclockFlags"/>.</summary>
    public byte Flags;
    private ushort _pad1;
}

/// <summary>Bits of <see cref="VcpuTimeInfo.Flags"/> (xen.h).</summary>
public static class PvclockFlags
{
    [CName("XEN_PVCLOCK_TSC_STABLE_BIT")] public const byte TscStableBit = 1;
    [CName("XEN_PVCLOCK_GUEST_STOPPED")] public const byte GuestStopped = 2;
}
