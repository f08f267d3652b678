using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Header of every xenstore message (io/xs_wire.h).</summary>
[CName("struct xsd_sockmsg")]
[StructLayout(LayoutKind.Sequential)]
public struct XsdSockmsg
{
    /// <summary><see cref="XenStoreMessageType"/>.</summary>
    public uint Type;
    public uint ReqId;
    public uint TxId;

    /// <summary>Bytes that follow.</summary>
    public uint Len;
}

/// <summary>
/// The xenstore page of a guest: req = from the guest; indices run freely (io/xs_wire.h).
/// </summary>
[CName("struct xenstore_domain_interface")]
[StructLayout(LayoutKind.Sequential)]
public struct XenstoreDomainInterface
{
    public Array1024<byte> Req;
    public Array1024<byte> Rsp;
    public uint ReqCons;
    public uint ReqProd;
    public uint RspCons;
    public uint RspProd;

    /// <summary><see cref="XenStoreServerFeature"/>.</summary>
    public uint ServerFeatures;

    /// <summary><see cref="XenStoreConnection"/>.</summary>
    public uint Connection;

    /// <summary><see cref="XenStoreError"/>.</summary>
    public uint Error;
}

/// <summary>Values of <see cref="XsdSockmsg.Type"/> (io/xs_wire.h, XS_*).</summary>
public static class XenStoreMessageType
{
    [CName("XS_CONTROL")] public const uint Control = 0;
    [CName("XS_DIRECTORY")] public const uint Directory = 1;
    [CName("XS_READ")] public const uint Read = 2;
    [CName("XS_GET_PERMS")] public const uint GetPerms = 3;
    [CName("XS_WATCH")] public const uint Watch = 4;
    [CName("XS_UNWATCH")] public const uint Unwatch = 5;
    [CName("XS_TRANSACTION_START")] public const uint TransactionStart = 6;
    [CName("XS_TRANSACTION_END")] public const uint TransactionEnd = 7;
    [CName("XS_INTRODUCE")] public const uint Introduce = 8;
    [CName("XS_RELEASE")] public const uint Release = 9;
    [CName("XS_GET_DOMAIN_PATH")] public const uint GetDomainPath = 10;
    [CName("XS_WRITE")] public const uint Write = 11;
    [CName("XS_MKDIR")] public const uint Mkdir = 12;
    [CName("XS_RM")] public const uint Rm = 13;
    [CName("XS_SET_PERMS")] public const uint SetPerms = 14;
    [CName("XS_WATCH_EVENT")] public const uint WatchEvent = 15;
    [CName("XS_ERROR")] public const uint Error = 16;
    [CName("XS_IS_DOMAIN_INTRODUCED")] public const uint IsDomainIntroduced = 17;
    [CName("XS_RESUME")] public const uint Resume = 18;
    [CName("XS_SET_TARGET")] public const uint SetTarget = 19;
    [CName("XS_RESET_WATCHES")] public const uint ResetWatches = 21;
    [CName("XS_DIRECTORY_PART")] public const uint DirectoryPart = 22;
    [CName("XS_TYPE_COUNT")] public const uint TypeCount = 23;
    [CName("XS_INVALID")] public const uint Invalid = 65535;
}

/// <summary>Sizes that the wire protocol fixes (io/xs_wire.h, XENSTORE_*).</summary>
public static class XenStoreLimits
{
    [CName("XENSTORE_RING_SIZE")] public const int RingSize = 1024;
    [CName("XENSTORE_REL_PATH_MAX")] public const int RelPathMax = 2048;
    [CName("XENSTORE_ABS_PATH_MAX")] public const int AbsPathMax = 3072;
    [CName("XENSTORE_PAYLOAD_MAX")] public const int PayloadMax = 4096;
}

/// <summary>Bits of <see cref="XenstoreDomainInterface.ServerFeatures"/> (io/xs_wire.h).</summary>
public static class XenStoreServerFeature
{
    [CName("XENSTORE_SERVER_FEATURE_RECONNECTION")] public const uint Reconnection = 1;
    [CName("XENSTORE_SERVER_FEATURE_ERROR")] public const uint Error = 2;
}

/// <summary>Values of <see cref="XenstoreDomainInterface.Connection"/> (io/xs_wire.h).</summary>
public static class XenStoreConnection
{
    [CName("XENSTORE_CONNECTED")] public const uint Connected = 0;
    [CName("XENSTORE_RECONNECT")] public const uint Reconnect = 1;
}

/// <summary>Values of <see cref="XenstoreDomainInterface.Error"/> (io/xs_wire.h).</summary>
public static class XenStoreError
{
    [CName("XENSTORE_ERROR_NONE")] public const uint None = 0;
    [CName("XENSTORE_ERROR_COMM")] public const uint Comm = 1;
    [CName("XENSTORE_ERROR_RINGIDX")] public const uint Ringidx = 2;
    [CName("XENSTORE_ERROR_PROTO")] public const uint Proto = 3;
}
