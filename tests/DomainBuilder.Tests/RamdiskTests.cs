using System;
using System.IO;
using System.IO.Compression;
using System.Linq;
using Ryokan.GuestMemory;
using Xunit;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>Whole archives are let through, cut and damaged ones are named.</summary>
public sealed class RamdiskTests
{
    private const ulong Pages = 96 << 8;

    private static readonly byte[] Kernel = new SampleKernel().Elf();

    /// <summary>The reason of the refusal, or null.</summary>
    private static string? Check(byte[] archive)
    {
        using GuestFrames frames = new(Pages);
        using TempFile kernel = new(Kernel);
        using TempFile ramdisk = new(archive);
        try
        {
            PvDomainBuilder.Build(new PvBuildRequest
            {
                Kernel = kernel.Path, Ramdisk = ramdisk.Path, Pages = Pages, SharedInfoMfn = GuestFrames.SpecialBase,
            }, frames);
            return null;
        }
        catch (DomainBuildException e)
        {
            Assert.Equal("ramdisk", e.Key);
            Assert.StartsWith($"ramdisk: {ramdisk.Path}: ", e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', e.Message);
            return e.Message[$"ramdisk: {ramdisk.Path}: ".Length..];
        }
    }

    private static byte[] Packed(string codec, byte[] archive) => codec switch
    {
        "plain" => archive,
        "gzip" => Compressors.Gzip(archive),
        "xz" => Compressors.Xz(archive),
        "zstd" => Compressors.Zstd(archive),
        "lz4" => Compressors.Lz4Legacy(archive),
        _ => throw new ArgumentException(codec),
    };

    public static TheoryData<string> Codecs => ["plain", "gzip", "xz", "zstd", "lz4"];

    [Theory]
    [MemberData(nameof(Codecs))]
    public void WholeArchivesPass(string codec)
    {
        byte[] archive = Ramdisks.Plain(5_000);
        Assert.Null(Check(Packed(codec, archive)));
        // Microcode in front, as initramfs-tools makes it, and zeros at the end, as boot loaders leave them.
        Assert.Null(Check([.. archive, .. Packed(codec, archive)]));
        Assert.Null(Check([.. Packed(codec, archive), .. new byte[512]]));
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void CutArchivesAreRefused(string codec)
    {
        byte[] archive = Packed(codec, Ramdisks.Plain(1_400));
        int whole = codec == "plain" ? 1_300 : archive.Length;
        foreach (int length in Enumerable.Range(1, 20).Select(i => Math.Max(6, whole * i / 21)))
        {
            Assert.NotNull(Check(archive[..length]));
        }
    }

    [Fact]
    public void OtherFilesAreRefused()
    {
        Assert.Equal("corrupt: neither a cpio archive nor compressed in a way Linux knows",
            Check("#!/bin/sh\necho hello\n"u8.ToArray()));
        Assert.Equal("truncated: the cpio archive has no end", Check(new byte[4096]));
        Assert.Equal("corrupt: no cpio header at byte 0", Check([(byte)'0', .. new byte[200]]));
        byte[] damaged = Ramdisks.Plain(5_000);
        damaged[Ramdisks.TrailerAt] = (byte)'x';
        Assert.Equal($"corrupt: no cpio header at byte {Ramdisks.TrailerAt}", Check(damaged));
        Assert.Equal($"corrupt: no cpio header at byte {Ramdisks.TrailerAt}", Check(Compressors.Gzip(damaged)));
        Assert.Equal("corrupt: neither a cpio archive nor compressed in a way Linux knows",
            Check(Compressors.Gzip("not an archive"u8.ToArray()))?.Replace(
                "corrupt: the compressed data is no cpio archive",
                "corrupt: neither a cpio archive nor compressed in a way Linux knows", StringComparison.Ordinal));
    }

    [Fact]
    public void RandomDamageIsFound()
    {
        Random random = new(3);
        byte[] archive = Ramdisks.Plain(3_000);
        byte[] good = Compressors.Gzip(archive);
        for (int i = 0; i < 60; i++)
        {
            byte[] bad = (byte[])good.Clone();
            bad[random.Next(10, bad.Length)] ^= (byte)(1 << random.Next(8));
            // The bits that fill up the last byte of the stream mean nothing.
            Assert.True(Check(bad) != null || Gunzipped(bad).AsSpan().SequenceEqual(archive));
        }
    }

    private static byte[] Gunzipped(byte[] file)
    {
        using GZipStream gzip = new(new MemoryStream(file), CompressionMode.Decompress);
        using MemoryStream unpacked = new();
        gzip.CopyTo(unpacked);
        return unpacked.ToArray();
    }
}
