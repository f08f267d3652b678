using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>The keyboard and pointer page (io/kbdif.h).</summary>
[CName("struct xenkbd_page")]
[StructLayout(LayoutKind.Sequential)]
public struct XenkbdPage
{
    public uint InCons;
    public uint InProd;
    public uint OutCons;
    public uint OutProd;
}

/// <summary>A relative pointer motion (io/kbdif.h).</summary>
[CName("struct xenkbd_motion")]
[StructLayout(LayoutKind.Sequential)]
public struct XenkbdMotion
{
    public byte Type;
    public int RelX;
    public int RelY;
    public int RelZ;
}

/// <summary>A key or button went down or up (io/kbdif.h).</summary>
[CName("struct xenkbd_key")]
[StructLayout(LayoutKind.Sequential)]
public struct XenkbdKey
{
    public byte Type;
    public byte Pressed;

    /// <summary>Linux key code.</summary>
    public uint Keycode;
}

/// <summary>An absolute pointer position (io/kbdif.h).</summary>
[CName("struct xenkbd_position")]
[StructLayout(LayoutKind.Sequential)]
public struct XenkbdPosition
{
    public byte Type;
    public int AbsX;
    public int AbsY;
    public int RelZ;
}

/// <summary>Types and layout of keyboard and pointer events (io/kbdif.h, XENKBD_*).</summary>
public static class KeyboardEvent
{
    [CName("XENKBD_TYPE_MOTION")] public const int TypeMotion = 1;
    [CName("XENKBD_TYPE_RESERVED")] public const int TypeReserved = 2;
    [CName("XENKBD_TYPE_KEY")] public const int TypeKey = 3;
    [CName("XENKBD_TYPE_POS")] public const int TypePos = 4;
    [CName("XENKBD_TYPE_MTOUCH")] public const int TypeMtouch = 5;
    [CName("XENKBD_OUT_RING_LEN")] public const int OutRingLen = 25;
    [CName("XENKBD_IN_EVENT_SIZE")] public const int InEventSize = 40;
    [CName("XENKBD_OUT_EVENT_SIZE")] public const int OutEventSize = 40;
    [CName("XENKBD_IN_RING_LEN")] public const int InRingLen = 51;
    [CName("XENKBD_IN_RING_OFFS")] public const int InRingOffs = 1024;
    [CName("XENKBD_OUT_RING_SIZE")] public const int OutRingSize = 1024;
    [CName("XENKBD_IN_RING_SIZE")] public const int InRingSize = 2048;
    [CName("XENKBD_OUT_RING_OFFS")] public const int OutRingOffs = 3072;
}
