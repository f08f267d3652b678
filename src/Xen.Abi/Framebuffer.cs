using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>The framebuffer page (io/fbif.h).</summary>
[CName("struct xenfb_page")]
[StructLayout(LayoutKind.Sequential)]
public struct XenfbPage
{
    public uint InCons;
    public uint InProd;
    public uint OutCons;
    public uint OutProd;
    public int Width;
    public int Height;
    public uint LineLength;
    public uint MemLength;
    public byte Depth;

    /// <summary>Frames that hold frame numbers of the pixels.</summary>
    public Array256<ulong> Pd;
}

/// <summary>Front end to back end: a rectangle changed (io/fbif.h).</summary>
[CName("struct xenfb_update")]
[StructLayout(LayoutKind.Sequential)]
public struct XenfbUpdate
{
    public byte Type;
    public int X;
    public int Y;
    public int Width;
    public int Height;
}

/// <summary>Front end to back end: a new mode (io/fbif.h).</summary>
[CName("struct xenfb_resize")]
[StructLayout(LayoutKind.Sequential)]
public struct XenfbResize
{
    public byte Type;
    public int Width;
    public int Height;
    public int Stride;
    public int Depth;
    public int Offset;
}

/// <summary>Back end to front end: how often to report (io/fbif.h).</summary>
[CName("struct xenfb_refresh_period")]
[StructLayout(LayoutKind.Sequential)]
public struct XenfbRefreshPeriod
{
    public byte Type;

    /// <summary>Milliseconds.</summary>
    public uint Period;
}

/// <summary>Types and layout of framebuffer events (io/fbif.h, XENFB_*).</summary>
public static class FramebufferEvent
{
    [CName("XENFB_NO_REFRESH")] public const int NoRefresh = 0;
    [CName("XENFB_TYPE_REFRESH_PERIOD")] public const int TypeRefreshPeriod = 1;
    [CName("XENFB_TYPE_UPDATE")] public const int TypeUpdate = 2;
    [CName("XENFB_TYPE_RESIZE")] public const int TypeResize = 3;
    [CName("XENFB_IN_RING_LEN")] public const int InRingLen = 25;
    [CName("XENFB_IN_EVENT_SIZE")] public const int InEventSize = 40;
    [CName("XENFB_OUT_EVENT_SIZE")] public const int OutEventSize = 40;
    [CName("XENFB_OUT_RING_LEN")] public const int OutRingLen = 51;
    [CName("XENFB_IN_RING_OFFS")] public const int InRingOffs = 1024;
    [CName("XENFB_IN_RING_SIZE")] public const int InRingSize = 1024;
    [CName("XENFB_OUT_RING_OFFS")] public const int OutRingOffs = 2048;
    [CName("XENFB_OUT_RING_SIZE")] public const int OutRingSize = 2048;
}
