namespace Ryokan.Xen.Abi;

/// <summary>Reserved domain ids (xen.h).</summary>
public static class Domid
{
    [CName("DOMID_FIRST_RESERVED")] public const ushort FirstReserved = 0x7ff0;
    [CName("DOMID_SELF")] public const ushort Self = 0x7ff0;
    [CName("DOMID_IO")] public const ushort Io = 0x7ff1;
    [CName("DOMID_XEN")] public const ushort Xen = 0x7ff2;
    [CName("DOMID_COW")] public const ushort Cow = 0x7ff3;
    [CName("DOMID_INVALID")] public const ushort Invalid = 0x7ff4;
    [CName("DOMID_IDLE")] public const ushort Idle = 0x7fff;
    [CName("DOMID_MASK")] public const ushort Mask = 0x7fff;
}
