using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>What a PV guest finds at rsi when it starts; one page, 1168 bytes used (xen.h).</summary>
[CName("struct start_info")]
[StructLayout(LayoutKind.Sequential)]
public struct StartInfo
{
    /// <summary>"xen-3.0-x86_64", NUL-padded.</summary>
    public Array32<byte> Magic;
    public ulong NrPages;

    /// <summary>Machine address.</summary>
    public ulong SharedInfo;

    /// <summary><see cref="StartInfoFlags"/>.</summary>
    public uint Flags;
    public ulong StoreMfn;
    public uint StoreEvtchn;
    [CName("console.domU.mfn")] public ulong ConsoleMfn;
    [CName("console.domU.evtchn")] public uint ConsoleEvtchn;

    /// <summary>Virtual address of the boot L4.</summary>
    public ulong PtBase;
    public ulong NrPtFrames;

    /// <summary>Virtual address of the p2m list.</summary>
    public ulong MfnList;

    /// <summary>Virtual address, or pfn with <see cref="StartInfoFlags.ModStartPfn"/>.</summary>
    public ulong ModStart;

    /// <summary>Bytes.</summary>
    public ulong ModLen;
    public Array1024<byte> CmdLine;
    public ulong FirstP2mPfn;
    public ulong NrP2mFrames;
}

/// <summary>Bits of <see cref="StartInfo.Flags"/> (xen.h, SIF_*).</summary>
public static class StartInfoFlags
{
    [CName("SIF_PRIVILEGED")] public const uint Privileged = 0x1;
    [CName("SIF_INITDOMAIN")] public const uint Initdomain = 0x2;
    [CName("SIF_MULTIBOOT_MOD")] public const uint MultibootMod = 0x4;
    [CName("SIF_MOD_START_PFN")] public const uint ModStartPfn = 0x8;
    [CName("SIF_VIRT_P2M_4TOOLS")] public const uint VirtP2m4tools = 0x10;
    [CName("SIF_PM_MASK")] public const uint PmMask = 0xff00;
}
