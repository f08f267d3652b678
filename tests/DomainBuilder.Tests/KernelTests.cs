using System;
using System.Buffers.Binary;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using Ryokan.GuestMemory;
using Ryokan.X86;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>A made-up kernel in every packing: the same bytes must arrive at the same places.</summary>
public sealed class KernelTests
{
    private const ulong Pages = 96 << 8;

    private static PvImage Build(byte[] file, GuestFrames frames, ulong pages = Pages, byte[]? ramdisk = null)
    {
        using TempFile kernel = new(file);
        using TempFile? archive = ramdisk == null ? null : new TempFile(ramdisk);
        return PvDomainBuilder.Build(new PvBuildRequest
        {
            Kernel = kernel.Path, Ramdisk = archive?.Path, CommandLine = "console=hvc0", Pages = pages,
            SharedInfoMfn = GuestFrames.SpecialBase,
        }, frames);
    }

    private static void CheckLoaded(byte[] elf, GuestFrames frames)
    {
        AssertAt(SampleKernel.TextOffset, SampleKernel.TextPaddr, SampleKernel.TextBytes);
        AssertAt(SampleKernel.DataOffset, SampleKernel.DataPaddr, SampleKernel.DataBytes);
        AssertAt(SampleKernel.InitOffset, SampleKernel.InitPaddr, SampleKernel.InitFileBytes);
        byte[] rest = new byte[SampleKernel.InitMemoryBytes - SampleKernel.InitFileBytes];
        Assert.True(frames.TryRead(SampleKernel.InitPaddr + SampleKernel.InitFileBytes, rest));
        Assert.All(rest, b => Assert.Equal(0, b));

        void AssertAt(int offset, ulong paddr, int length)
        {
            byte[] loaded = new byte[length];
            Assert.True(frames.TryRead(paddr, loaded));
            Assert.True(elf.AsSpan(offset, length).SequenceEqual(loaded), $"segment at {paddr:x}");
        }
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("xz")]
    [InlineData("zstd")]
    [InlineData("lz4")]
    public void BzImageOfEveryCodecIsLoaded(string codec)
    {
        byte[] elf = new SampleKernel().Elf();
        using GuestFrames frames = new(Pages);
        PvImage image = Build(SampleKernel.BzImage(Compressors.Payload(codec, elf)), frames);
        CheckLoaded(elf, frames);
        Assert.Equal(SampleKernel.VirtBase + SampleKernel.InitPaddr + 0x1c0, image.EntryVa);
    }

    [Fact]
    public void PlainAndGzippedElfAreLoaded()
    {
        byte[] elf = new SampleKernel().Elf();
        foreach (byte[] file in (byte[][])[elf, Compressors.Gzip(elf)])
        {
            using GuestFrames frames = new(Pages);
            Build(file, frames);
            CheckLoaded(elf, frames);
        }
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void EverythingIsWhereStartInfoSays(bool initP2M, bool modStartPfn)
    {
        byte[] elf = new SampleKernel { InitP2M = initP2M, ModStartPfn = modStartPfn }.Elf();
        byte[] ramdisk = Ramdisks.Plain(123_456);
        using GuestFrames frames = new(Pages);
        PvImage image = Build(elf, frames, Pages, ramdisk);
        StartInfo info = MemoryMarshal.Read<StartInfo>(frames.Span(image.StartInfoMfn));

        Assert.Equal("xen-3.0-x86_64\0\0"u8, ((ReadOnlySpan<byte>)info.Magic)[..16]);
        Assert.Equal("console=hvc0\0"u8, ((ReadOnlySpan<byte>)info.CmdLine)[..13]);
        Assert.Equal(Pages, info.NrPages);
        Assert.Equal(GuestFrames.SpecialBase << 12, info.SharedInfo);
        Assert.Equal((image.StoreMfn, image.ConsoleMfn), (info.StoreMfn, info.ConsoleMfn));
        Assert.Equal((1u, 2u), (info.StoreEvtchn, info.ConsoleEvtchn));
        Assert.Equal(image.RootMfn << 12, Translate(info.PtBase));
        Assert.Equal(image.StartInfoMfn << 12, Translate(image.StartInfoVa));
        Assert.Equal(image.PageTables.Count, info.NrPtFrames);
        Assert.NotNull(Translate(image.StackVa - 8));

        CheckP2M(frames, image, info, initP2M);
        Assert.Equal((ulong)ramdisk.Length, info.ModLen);
        Assert.Equal(modStartPfn ? StartInfoFlags.ModStartPfn : 0, info.Flags);
        byte[] loaded = new byte[ramdisk.Length];
        Assert.True(frames.TryRead(modStartPfn ? info.ModStart << 12 : Translate(info.ModStart)!.Value, loaded));
        Assert.Equal(ramdisk, loaded);

        ulong? Translate(ulong va) => PageWalk.Translate(frames, image.RootMfn, va)?.Maddr;
    }

    private static void CheckP2M(GuestFrames frames, PvImage image, StartInfo info, bool initP2M)
    {
        byte[] entry = new byte[8];
        foreach (ulong pfn in (ulong[])[0, 1, 511, 512, Pages - 1])
        {
            Assert.True(frames.TryRead(PageWalk.Translate(frames, image.RootMfn, info.MfnList + pfn * 8)!.Value.Maddr, entry));
            Assert.Equal(pfn, BinaryPrimitives.ReadUInt64LittleEndian(entry));
        }
        if (initP2M)
        {
            Assert.Equal(0x8000000000UL, info.MfnList);
            Assert.Equal(image.P2MPageTables.End, info.FirstP2mPfn + info.NrP2mFrames);
        }
        else
        {
            Assert.Equal((0UL, 0UL), (info.FirstP2mPfn, info.NrP2mFrames));
            Assert.Equal(0UL, image.P2MPageTables.Count);
        }
    }

    /// <summary>
    /// The whole linear mapping, entry by entry: VA = VIRT_BASE + pfn, page tables read-only, all else writable, at
    /// least 512 KiB of slack after the stack.
    /// </summary>
    [Fact]
    public void LinearMappingIsComplete()
    {
        using GuestFrames frames = new(Pages);
        PvImage image = Build(new SampleKernel().Elf(), frames);
        ulong pfn = 0;
        for (; PageWalk.Translate(frames, image.RootMfn, SampleKernel.VirtBase + pfn * 4096) is { } found; pfn++)
        {
            Assert.Equal(pfn << 12, found.Maddr);
            bool table = image.PageTables.Contains(pfn) || image.P2MPageTables.Contains(pfn);
            ulong expected = PageTableEntry.Present | PageTableEntry.Accessed | (table ? 0 : PageTableEntry.Writable);
            Assert.Equal(expected, found.Leaf & ~PageTableEntry.AddressMask);
        }
        ulong end = SampleKernel.VirtBase + pfn * 4096;
        Assert.Equal(0UL, end % (4 << 20));
        Assert.True(end - image.StackVa >= 512 << 10);
    }

    [Fact]
    public void HypercallPageIsFilledWhereTheKernelWantsOne()
    {
        ulong va = SampleKernel.VirtBase + SampleKernel.TextPaddr + 0x3000;
        using GuestFrames frames = new(Pages);
        Build(new SampleKernel { HypercallPage = va }.Elf(), frames);
        byte[] page = new byte[4096];
        Assert.True(frames.TryRead(SampleKernel.TextPaddr + 0x3000, page));
        Assert.Equal([0x51, 0x41, 0x53, 0xb8, 17, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3], page[544..558]);
        Assert.Equal([0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0xcc], page[736..748]);
    }

    [Fact]
    public void WhatIsNoPvKernelIsNamed()
    {
        Assert.Equal("no PV kernel: it has no Xen ELF notes (Linux: CONFIG_XEN_PV)",
            Reason(new SampleKernel { Xen = false, InitP2M = false, ModStartPfn = false }.Elf()));
        Assert.Equal("no PV kernel: its Xen notes offer only a PVH entry (Linux: CONFIG_XEN_PV)",
            Reason(new SampleKernel { Pvh = true }.Elf()));
        Assert.Equal("neither a bzImage nor an ELF file", Reason(new byte[5000]));
        Assert.Equal("the file is empty", Reason([]));
        byte[] arm = new SampleKernel().Elf();
        arm[18] = 183;
        Assert.Equal("not a 64-bit x86 ELF file", Reason(arm));
        Assert.Equal("the entry point ffffffff80000000 is not inside the kernel",
            Reason(new SampleKernel { Entry = SampleKernel.VirtBase }.Elf()));
    }

    [Fact]
    public void TooLittleMemoryIsNamedWithWhatIsNeeded()
    {
        byte[] elf = new SampleKernel().Elf();
        Assert.Equal("memory: 32 MiB is too little: the kernel alone ends at 39 MiB", Message(elf, 32 << 8));
        // The mapping of kernel, tables and stack ends at 40 MiB; 5 MiB and the list of pages follow.
        foreach (ulong mib in (ulong[])[39, 45])
        {
            Assert.Equal($"memory: {mib} MiB is too little: kernel, initramfs and first page tables need 46 MiB",
                Message(elf, mib << 8, Ramdisks.Plain(5 << 20)));
        }
        using GuestFrames frames = new(46 << 8);
        Build(elf, frames, 46 << 8, Ramdisks.Plain(5 << 20));
    }

    private static string Message(byte[] file, ulong pages = Pages, byte[]? ramdisk = null)
    {
        using GuestFrames frames = new(pages);
        string message = Assert.Throws<DomainBuildException>(() => Build(file, frames, pages, ramdisk)).Message;
        Assert.DoesNotContain('\n', message);
        return message;
    }

    private static string Reason(byte[] file)
    {
        string[] parts = Message(file).Split(": ", 3);
        Assert.Equal("kernel", parts[0]);
        return parts[2];
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("xz")]
    [InlineData("zstd")]
    [InlineData("lz4")]
    public void TruncationIsAlwaysNoticed(string codec)
    {
        byte[] file = SampleKernel.BzImage(Compressors.Payload(codec, new SampleKernel().Elf()));
        Random random = new(7);
        foreach (int length in (int[])[1, 600, 0x252, 20_000, file.Length / 2, file.Length - 101,
            .. Enumerable.Range(0, 10).Select(_ => random.Next(file.Length - 101))])
        {
            string reason = Reason(file[..length]);
            Assert.True(reason.StartsWith("truncated", StringComparison.Ordinal)
                || reason == "neither a bzImage nor an ELF file", reason);
        }
    }

    [Fact]
    public void CutGzippedElfIsTruncated()
    {
        byte[] file = Compressors.Gzip(new SampleKernel().Elf());
        Assert.Equal("truncated: the gzip file has no end", Reason(file[..^5]));
        file[^6] ^= 1;
        Assert.StartsWith("corrupt: gzip: damaged stream", Reason(file), StringComparison.Ordinal);
    }

    /// <summary>A payload that was cut while the header still promises it: the decoders must notice.</summary>
    [Theory]
    [InlineData("gzip")]
    [InlineData("xz")]
    [InlineData("zstd")]
    [InlineData("lz4")]
    public void CutPayloadIsCorrupt(string codec)
    {
        byte[] elf = new SampleKernel().Elf();
        byte[] payload = Compressors.Payload(codec, elf);
        byte[] cut = Compressors.WithLength(payload[..(payload.Length * 2 / 3)], elf.Length);
        Assert.StartsWith("corrupt", Reason(SampleKernel.BzImage(cut)), StringComparison.Ordinal);
    }

    /// <summary>
    /// Any byte may be wrong: the builder loads the kernel or says one clear line; nothing else ever happens.
    /// gzip, xz and zstd have checksums over the content, so damage to it is always found.
    /// </summary>
    [Theory]
    [InlineData("gzip", true)]
    [InlineData("xz", true)]
    [InlineData("zstd", false)]
    [InlineData("lz4", false)]
    public void DamageGivesOneLineOrAKernel(string codec, bool checksummed)
    {
        byte[] elf = new SampleKernel().Elf();
        byte[] good = SampleKernel.BzImage(Compressors.Payload(codec, elf));
        int payload = 40 * 512 + 0x2cc;
        Random random = new(codec.Length * 1000 + codec[0]);
        for (int i = 0; i < 25; i++)
        {
            byte[] bad = (byte[])good.Clone();
            int at = payload + (i < 12 ? random.Next(64) : random.Next(good.Length - payload - 100));
            bad[at] ^= (byte)(1 << random.Next(8));
            using GuestFrames frames = new(Pages);
            try
            {
                Build(bad, frames);
                // gzip's header fields (time, system) mean nothing.
                Assert.True(!checksummed || (codec == "gzip" && at - payload < 10), $"damage at {at} went unnoticed");
            }
            catch (DomainBuildException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    /// <summary>Headers of a plain ELF file with random fields.</summary>
    [Fact]
    public void DamagedElfHeadersGiveOneLineOrAKernel()
    {
        byte[] good = new SampleKernel().Elf();
        Random random = new(11);
        for (int i = 0; i < 300; i++)
        {
            byte[] head = good[..512];
            int at = random.Next(64 + 4 * 56 - 8);
            BinaryPrimitives.WriteInt64LittleEndian(head.AsSpan(at), random.Next(4) switch
            {
                0 => long.MaxValue, 1 => -1, 2 => random.NextInt64(), _ => random.Next(),
            });
            head.CopyTo(good, 0);
            using GuestFrames frames = new(Pages);
            try
            {
                Build(good, frames);
            }
            catch (DomainBuildException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
            new SampleKernel().Elf().AsSpan(0, 512).CopyTo(good);
        }
    }

    [Fact]
    public void LongOrOddCommandLinesAreRefused()
    {
        using GuestFrames frames = new(Pages);
        using TempFile kernel = new(new SampleKernel().Elf());
        PvBuildRequest request = new()
        {
            Kernel = kernel.Path, Pages = Pages, SharedInfoMfn = GuestFrames.SpecialBase,
            CommandLine = new string('x', 1024),
        };
        Assert.Equal("cmdline: 1024 bytes are too long; Xen passes at most 1023",
            Assert.Throws<DomainBuildException>(() => PvDomainBuilder.Build(request, frames)).Message);
        Assert.Equal("cmdline: it contains a control character", Assert.Throws<DomainBuildException>(
            () => PvDomainBuilder.Build(request with { CommandLine = "a\nb" }, frames)).Message);
        PvDomainBuilder.Build(request with { CommandLine = new string('x', 1023) }, frames);
    }

    [Fact]
    public void MissingFilesAreNamed()
    {
        using GuestFrames frames = new(Pages);
        PvBuildRequest request = new()
        {
            Kernel = "/nowhere/vmlinuz", Pages = Pages, SharedInfoMfn = GuestFrames.SpecialBase,
        };
        Assert.Equal("kernel: /nowhere/vmlinuz: no such file",
            Assert.Throws<DomainBuildException>(() => PvDomainBuilder.Build(request, frames)).Message);
        Assert.StartsWith("kernel: /tmp: not a readable file", Assert.Throws<DomainBuildException>(
            () => PvDomainBuilder.Build(request with { Kernel = Path.GetTempPath().TrimEnd('/') }, frames)).Message,
            StringComparison.Ordinal);
    }
}
