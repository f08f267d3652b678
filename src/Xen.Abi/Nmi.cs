using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Argument of XENNMI_register_callback (nmi.h).</summary>
[CName("struct xennmi_callback")]
[StructLayout(LayoutKind.Sequential)]
public struct XennmiCallback
{
    public ulong HandlerAddress;
    public ulong Pad;
}

/// <summary>Bits of <see cref="ArchSharedInfo.NmiReason"/> (nmi.h).</summary>
public static class NmiReason
{
    [CName("XEN_NMIREASON_io_error")] public const ulong IoError = 0x1;
    [CName("XEN_NMIREASON_pci_serr")] public const ulong PciSerr = 0x2;
    [CName("XEN_NMIREASON_unknown")] public const ulong Unknown = 0x4;
}

/// <summary>First argument of nmi_op (nmi.h).</summary>
public static class NmiOp
{
    [CName("XENNMI_register_callback")] public const uint RegisterCallback = 0;
    [CName("XENNMI_unregister_callback")] public const uint UnregisterCallback = 1;
}
