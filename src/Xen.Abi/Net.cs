using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>A packet, or a part of one, that the guest sends; 12 bytes (io/netif.h).</summary>
[CName("struct netif_tx_request")]
[StructLayout(LayoutKind.Sequential)]
public struct NetifTxRequest
{
    public uint Gref;
    public ushort Offset;

    /// <summary><see cref="NetTxFlags"/>.</summary>
    public ushort Flags;
    public ushort Id;
    public ushort Size;
}

/// <summary>Occupies the slot after a request with extra_info (io/netif.h).</summary>
[CName("struct netif_extra_info")]
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct NetifExtraInfo
{
    /// <summary><see cref="NetifExtraType"/>.</summary>
    [FieldOffset(0)] public byte Type;

    /// <summary><see cref="NetifExtraFlags"/>.</summary>
    [FieldOffset(1)] public byte Flags;
    [FieldOffset(2)] [CName("u.gso.size")] public ushort GsoSize;
    [FieldOffset(4)] [CName("u.gso.type")] public byte GsoType;
    [FieldOffset(6)] [CName("u.gso.features")] public ushort GsoFeatures;
    [FieldOffset(2)] [CName("u.mcast.addr")] public Array6<byte> McastAddr;
    [FieldOffset(2)] [CName("u.hash.type")] public byte HashType;
    [FieldOffset(3)] [CName("u.hash.algorithm")] public byte HashAlgorithm;
    [FieldOffset(4)] [CName("u.hash.value")] public Array4<byte> HashValue;
}

/// <summary>The answer to a transmit request; 4 bytes (io/netif.h).</summary>
[CName("struct netif_tx_response")]
[StructLayout(LayoutKind.Sequential)]
public struct NetifTxResponse
{
    public ushort Id;

    /// <summary><see cref="NetifResult"/>.</summary>
    public short Status;
}

/// <summary>A buffer that the guest offers; 8 bytes (io/netif.h).</summary>
[CName("struct netif_rx_request")]
[StructLayout(LayoutKind.Sequential)]
public struct NetifRxRequest
{
    public ushort Id;
    private ushort _pad;
    public uint Gref;
}

/// <summary>A packet, or a part of one, for the guest; 8 bytes (io/netif.h).</summary>
[CName("struct netif_rx_response")]
[StructLayout(LayoutKind.Sequential)]
public struct NetifRxResponse
{
    public ushort Id;
    public ushort Offset;

    /// <summary><see cref="NetRxFlags"/>.</summary>
    public ushort Flags;

    /// <summary>Bytes, or <see cref="NetifResult"/>.</summary>
    public short Status;
}

/// <summary>Bits of <see cref="NetifTxRequest.Flags"/> (io/netif.h, NETTXF_*).</summary>
public static class NetTxFlags
{
    [CName("NETTXF_csum_blank")] public const ushort CsumBlank = 0x1;
    [CName("NETTXF_data_validated")] public const ushort DataValidated = 0x2;
    [CName("NETTXF_more_data")] public const ushort MoreData = 0x4;
    [CName("NETTXF_extra_info")] public const ushort ExtraInfo = 0x8;
}

/// <summary>Bits of <see cref="NetifRxResponse.Flags"/> (io/netif.h, NETRXF_*).</summary>
public static class NetRxFlags
{
    [CName("NETRXF_data_validated")] public const ushort DataValidated = 0x1;
    [CName("NETRXF_csum_blank")] public const ushort CsumBlank = 0x2;
    [CName("NETRXF_more_data")] public const ushort MoreData = 0x4;
    [CName("NETRXF_extra_info")] public const ushort ExtraInfo = 0x8;
    [CName("NETRXF_gso_prefix")] public const ushort GsoPrefix = 0x10;
}

/// <summary>Status of transmit and receive responses (io/netif.h, NETIF_RSP_*).</summary>
public static class NetifResult
{
    [CName("NETIF_RSP_DROPPED")] public const short Dropped = -2;
    [CName("NETIF_RSP_ERROR")] public const short Error = -1;
    [CName("NETIF_RSP_OKAY")] public const short Okay = 0;
    [CName("NETIF_RSP_NULL")] public const short Null = 1;
}

/// <summary>Values of <see cref="NetifExtraInfo.Type"/> (io/netif.h).</summary>
public static class NetifExtraType
{
    [CName("XEN_NETIF_EXTRA_TYPE_NONE")] public const byte None = 0;
    [CName("XEN_NETIF_EXTRA_TYPE_GSO")] public const byte Gso = 1;
    [CName("XEN_NETIF_EXTRA_TYPE_MCAST_ADD")] public const byte McastAdd = 2;
    [CName("XEN_NETIF_EXTRA_TYPE_MCAST_DEL")] public const byte McastDel = 3;
    [CName("XEN_NETIF_EXTRA_TYPE_HASH")] public const byte Hash = 4;
    [CName("XEN_NETIF_EXTRA_TYPE_MAX")] public const byte Max = 5;
}

/// <summary>Bits of <see cref="NetifExtraInfo.Flags"/> (io/netif.h).</summary>
public static class NetifExtraFlags
{
    [CName("XEN_NETIF_EXTRA_FLAG_MORE")] public const byte More = 1;
}

/// <summary>Values of <see cref="NetifExtraInfo.GsoType"/> (io/netif.h).</summary>
public static class NetifGsoType
{
    [CName("XEN_NETIF_GSO_TYPE_NONE")] public const byte None = 0;
    [CName("XEN_NETIF_GSO_TYPE_TCPV4")] public const byte Tcpv4 = 1;
    [CName("XEN_NETIF_GSO_TYPE_TCPV6")] public const byte Tcpv6 = 2;
}

/// <summary>Sizes that the network protocol fixes (io/netif.h).</summary>
public static class NetifLimits
{
    [CName("XEN_NETIF_MAX_TX_SIZE")] public const int MaxTxSize = 65535;
}
