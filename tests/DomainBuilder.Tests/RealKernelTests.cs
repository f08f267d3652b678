using System;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using Ryokan.GuestMemory;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;
using Xunit.Abstractions;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>
/// The unmodified Debian kernel: the layout must be the one that Xen's own builder was seen to make (fixed
/// pfns for a guest of 384 MiB).
/// </summary>
public sealed class RealKernelTests(ITestOutputHelper output)
{
    private const ulong Pages = 384 << 8;

    private static string Kernel
    {
        get
        {
            string path = Environment.GetEnvironmentVariable("RYOKAN_KERNEL") ?? "/var/cache/ryokan/vmlinuz";
            Assert.True(File.Exists(path), $"{path} is missing: ./test puts it there (or set RYOKAN_KERNEL)");
            return path;
        }
    }

    [Fact]
    public void LayoutIsTheOneThatXenMakes()
    {
        using GuestFrames frames = new(Pages);
        using TempFile ramdisk = new(Ramdisks.Plain(0x21c * 4096 - 1000));
        Stopwatch watch = Stopwatch.StartNew();
        PvImage image = PvDomainBuilder.Build(new PvBuildRequest
        {
            Kernel = Kernel, Ramdisk = ramdisk.Path, CommandLine = "console=hvc0", Pages = Pages,
            SharedInfoMfn = GuestFrames.SpecialBase,
        }, frames);
        output.WriteLine($"built in {watch.Elapsed.TotalMilliseconds:f1} ms");

        Assert.Equal(0x3e00UL, image.StartInfoMfn);
        Assert.Equal(0x3e01UL, image.StoreMfn);
        Assert.Equal(0x3e02UL, image.ConsoleMfn);
        Assert.Equal(new Boot.FrameRange(0x3e03, 35), image.PageTables);
        Assert.Equal(0xffffffff83e27000, image.StackVa);
        Assert.Equal(0xffffffff83e00000, image.StartInfoVa);
        StartInfo info = MemoryMarshal.Read<StartInfo>(frames.Span(image.StartInfoMfn));
        Assert.Equal(0x8000000000UL, info.MfnList);
        Assert.Equal(0x4000UL, info.ModStart);
        Assert.Equal(0x421cUL, info.FirstP2mPfn);
        Assert.Equal(0xc3UL, info.NrP2mFrames);
        Assert.Equal(35UL, info.NrPtFrames);
        Assert.Equal(0xffffffff83e03000, info.PtBase);
        // Debian 6.1 starts with "lea stack(%rip),%rsp"-like code, never with zeros or breakpoints.
        ulong maddr = PageWalk.Translate(frames, image.RootMfn, image.EntryVa)!.Value.Maddr;
        Span<byte> code = stackalloc byte[8];
        Assert.True(frames.TryRead(maddr, code));
        Assert.NotEqual(0UL, BinaryPrimitives.ReadUInt64LittleEndian(code));
    }
}
