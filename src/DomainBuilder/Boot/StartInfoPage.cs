using System;
using System.Runtime.InteropServices;
using System.Text;
using Ryokan.Xen.Abi;

namespace Ryokan.DomainBuilder.Boot;

/// <summary>
/// Fills the page that tells a PV guest where everything is (xen/include/public/xen.h, start_info).
/// </summary>
internal static class StartInfoPage
{
    /// <summary>Longest command line in bytes: the field's size less its NUL.</summary>
    public const int MaxCommandLineBytes = 1023;

    public static void Write(Span<byte> page, PvBuildRequest request, BootLayout layout, ulong ramdiskBytes)
    {
        StartInfo info = default;
        "xen-3.0-x86_64"u8.CopyTo(info.Magic);
        info.NrPages = layout.Pages;
        info.SharedInfo = request.SharedInfoMfn << 12;
        info.Flags = 0;
        info.StoreMfn = layout.StorePfn;
        info.StoreEvtchn = request.StorePort;
        info.ConsoleMfn = layout.ConsolePfn;
        info.ConsoleEvtchn = request.ConsolePort;
        info.PtBase = layout.Va(layout.PageTables.First);
        info.NrPtFrames = layout.PageTables.Count;
        info.MfnList = layout.P2MVa;
        if (ramdiskBytes != 0)
        {
            info.Flags |= layout.RamdiskByPfn ? StartInfoFlags.ModStartPfn : 0;
            info.ModStart = layout.RamdiskByPfn ? layout.Ramdisk.First : layout.Va(layout.Ramdisk.First);
            info.ModLen = ramdiskBytes;
        }
        Encoding.UTF8.GetBytes(request.CommandLine, info.CmdLine[..MaxCommandLineBytes]);
        if (layout.P2MPageTables.Count != 0)
        {
            info.FirstP2mPfn = layout.P2M.First;
            info.NrP2mFrames = layout.P2M.Count + layout.P2MPageTables.Count;
        }
        MemoryMarshal.Write(page, in info);
    }
}
