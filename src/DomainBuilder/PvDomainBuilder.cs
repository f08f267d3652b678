using System;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Ryokan.DomainBuilder.Boot;
using Ryokan.DomainBuilder.Kernel;
using Ryokan.DomainBuilder.Ramdisk;
using Ryokan.GuestMemory;

namespace Ryokan.DomainBuilder;

/// <summary>
/// Lays a PV64 domain out in fresh guest memory: kernel, initramfs, p2m, start info, rings, page tables.
/// </summary>
public static class PvDomainBuilder
{
    private const long MaxRamdiskBytes = 1 << 30;

    /// <summary>
    /// Builds the domain. The frames must be fresh (all zero): what need not be stored is not.
    /// </summary>
    /// <exception cref="DomainBuildException">the kernel, initramfs, command line or memory size does not
    /// do</exception>
    public static PvImage Build(PvBuildRequest request, GuestFrames frames)
    {
        CheckCommandLine(request.CommandLine);
        // Read and checked while the kernel is unpacked; where it goes is known only after that.
        Task<byte[]> ramdisk = Task.Run(() => ReadRamdisk(request.Ramdisk));
        LoadedKernel kernel = KernelLoader.Load(request.Kernel, frames, request.Pages);
        byte[] archive = ramdisk.GetAwaiter().GetResult();
        BootLayout layout = new(kernel, request.Pages, (ulong)archive.Length);
        archive.CopyTo(frames.RamSpan(layout.Ramdisk.First, layout.Ramdisk.Count));
        WriteP2M(frames, layout);
        BootPageTables.Write(frames, layout);
        StartInfoPage.Write(frames.Span(layout.StartInfoPfn), request, layout, (ulong)archive.Length);
        WriteHypercallPage(request.Kernel, kernel.Notes, layout, frames);
        return new PvImage(kernel.EntryVa, layout.Va(layout.StackPfn + 1), layout.Va(layout.StartInfoPfn),
            layout.PageTables.First, layout.StorePfn, layout.ConsolePfn, layout.StartInfoPfn,
            layout.PageTables, layout.P2MPageTables);
    }

    private static byte[] ReadRamdisk(string? path)
    {
        if (path == null)
        {
            return [];
        }
        using SafeFileHandle handle = HostFile.Open("ramdisk", path, MaxRamdiskBytes, out long length);
        byte[] archive = GC.AllocateUninitializedArray<byte>((int)length);
        HostFile.ReadAll("ramdisk", path, handle, archive);
        RamdiskCheck.Verify(path, archive);
        return archive;
    }

    private static void CheckCommandLine(string commandLine)
    {
        int bytes = Encoding.UTF8.GetByteCount(commandLine);
        if (bytes > StartInfoPage.MaxCommandLineBytes)
        {
            throw new DomainBuildException("cmdline", null,
                $"{bytes} bytes are too long; Xen passes at most {StartInfoPage.MaxCommandLineBytes}");
        }
        if (commandLine.AsSpan().ContainsAnyInRange('\0', '\u001f'))
        {
            throw new DomainBuildException("cmdline", null, "it contains a control character");
        }
    }

    /// <summary>The identity: machine frame n is the guest's page n.</summary>
    private static void WriteP2M(GuestFrames frames, BootLayout layout)
    {
        Span<byte> bytes = frames.RamSpan(layout.P2M.First, layout.P2M.Count);
        Span<ulong> list = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (int pfn = 0; pfn < (int)layout.Pages; pfn++)
        {
            list[pfn] = (ulong)pfn;
        }
        list[(int)layout.Pages..].Fill(ulong.MaxValue);
    }

    private static void WriteHypercallPage(string path, XenNotes notes, BootLayout layout, GuestFrames frames)
    {
        if (notes.HypercallPageVa is not { } va)
        {
            return;
        }
        ulong pfn = (va - layout.VirtBase) >> GuestFrames.PageShift;
        if ((va & (GuestFrames.PageSize - 1)) != 0 || !layout.Kernel.Contains(pfn))
        {
            throw new DomainBuildException(
                "kernel", path, $"its hypercall page {va:x} is not a page of the kernel");
        }
        HypercallPage.Write(frames.Span(pfn));
    }
}
