using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Head of a shared ring page, before its slots; the same for every device (io/ring.h).</summary>
[CName("struct blkif_sring", Size = "offsetof(struct blkif_sring, ring)")]
[StructLayout(LayoutKind.Sequential)]
public struct SringHeader
{
    public uint ReqProd;
    public uint ReqEvent;
    public uint RspProd;
    public uint RspEvent;
    private ulong _pvt;
    private Array8<uint> _pad;
    private ulong _pad1;
}
