namespace Ryokan.Xen.Abi;

/// <summary>Values of a device's "state" node (io/xenbus.h).</summary>
public static class XenbusState
{
    [CName("XenbusStateUnknown")] public const int Unknown = 0;
    [CName("XenbusStateInitialising")] public const int Initialising = 1;
    [CName("XenbusStateInitWait")] public const int InitWait = 2;
    [CName("XenbusStateInitialised")] public const int Initialised = 3;
    [CName("XenbusStateConnected")] public const int Connected = 4;
    [CName("XenbusStateClosing")] public const int Closing = 5;
    [CName("XenbusStateClosed")] public const int Closed = 6;
    [CName("XenbusStateReconfiguring")] public const int Reconfiguring = 7;
    [CName("XenbusStateReconfigured")] public const int Reconfigured = 8;
}

/// <summary>Values of a device's "protocol" node (io/protocols.h).</summary>
public static class IoProtocol
{
    [CName("XEN_IO_PROTO_ABI_X86_32")] public const string X8632 = "x86_32-abi";
    [CName("XEN_IO_PROTO_ABI_X86_64")] public const string X8664 = "x86_64-abi";
}
