using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Xunit;

namespace Ryokan.Storage.Tests.Qcow2;

/// <summary>
/// Images that lie. Each is refused in one line or used without harm: no other exception, no endless work,
/// no great
/// memory, and nothing that the guest writes reaches the header.
/// </summary>
public sealed class HostileImageTests : IDisposable
{
    private const int DiskBytes = 4 << 20;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Small images that once were worth a look; they stay in the tree.</summary>
    public static IEnumerable<object[]> Corpus => Directory
        .EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "corpus"), "*.qcow2")
        .Select(path => new object[] { Path.GetFileName(path) });

    [Theory]
    [MemberData(nameof(Corpus))]
    public void CorpusDoesNoHarm(string name)
    {
        string image = _folder["disk.qcow2"];
        File.Copy(Path.Combine(AppContext.BaseDirectory, "corpus", name), image);
        Use(image);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("cluster512")]
    [InlineData("snapshot")]
    [InlineData("deflate")]
    [InlineData("zstd")]
    [InlineData("lazy")]
    public void DamageDoesNoHarm(string kind)
    {
        string image = _folder["disk.qcow2"], bad = _folder["bad.qcow2"];
        ImageKind.Make(kind, _folder, image, DiskBytes);
        if (kind is "plain" or "cluster512" or "lazy")
        {
            QemuImg.Io(image, "qcow2", "write -P 3 0 1M", "write -P 4 3M 64k");
        }
        byte[] good = File.ReadAllBytes(image);
        int[] tables = Tables(good);
        Random random = new(kind.Length);
        int outcomes = 0;
        for (int i = 0; i < 250; i++)
        {
            byte[] damaged = (byte[])good.Clone();
            for (int hit = random.Next(1, 6); hit > 0; hit--)
            {
                Damage(damaged, tables, random);
            }
            if (random.Next(4) == 0 && damaged[7] == 3)
            {
                // Not closed: the reference counts are counted again.
                damaged[79] |= 1;
            }
            File.WriteAllBytes(bad, damaged);
            outcomes |= Use(bad) ? 1 : 2;
        }
        Assert.Equal(3, outcomes);
    }

    /// <summary>Where the header names tables, and the header.</summary>
    private static int[] Tables(byte[] image)
    {
        int l1 = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(40));
        int refcounts = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(48));
        int snapshots = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(64));
        int l2 = (int)(BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(l1)) & 0xfffffffffffe00);
        int block = (int)BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(refcounts));
        return [0, l1, refcounts, l2, block, snapshots];
    }

    private static void Damage(byte[] image, int[] tables, Random random)
    {
        int table = tables[random.Next(tables.Length)];
        int at = Math.Min(table + random.Next(16) * 8, image.Length - 8);
        Span<byte> word = image.AsSpan(at, 8);
        switch (random.Next(5))
        {
            case 0:
                word[random.Next(8)] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                random.NextBytes(word);
                break;
            case 2:
                // One of the image's own tables, as a place for something else.
                BinaryPrimitives.WriteUInt64BigEndian(word,
                    (ulong)(uint)tables[random.Next(tables.Length)] | (random.Next(2) == 0 ? 1UL << 63 : 0));
                break;
            case 3:
                word.Fill((byte)(random.Next(2) * 0xff));
                break;
            default:
                BinaryPrimitives.WriteUInt64BigEndian(word, ((ulong)(uint)random.Next(64) << 16) | 1UL << 63);
                break;
        }
    }

    /// <summary>Reads and writes all over an image.</summary>
    /// <returns>whether it could be opened</returns>
    private static bool Use(string image)
    {
        byte[] header = [.. File.ReadAllBytes(image).Take(24)];
        bool opened = TryUse(image, readOnly: true);
        opened |= TryUse(image, readOnly: false);
        opened |= TryUse(image, readOnly: false);
        // Magic, version, place and length of the backing file's name, cluster size.
        Assert.Equal(header, File.ReadAllBytes(image).Take(24));
        return opened;
    }

    private static bool TryUse(string image, bool readOnly)
    {
        try
        {
            using IDisk disk = DiskImages.Open(image, DiskFormat.Qcow2, readOnly);
            byte[] buffer = new byte[64 << 10];
            new Random(1).NextBytes(buffer);
            ulong end = ulong.Min(disk.SizeBytes, 8 << 20);
            for (ulong at = 0; at + (ulong)buffer.Length <= end; at += (ulong)buffer.Length)
            {
                Allow(() => disk.Read(at, new byte[buffer.Length]));
                if (!readOnly)
                {
                    Allow(() => disk.Write(at + 512, buffer.AsSpan(0, 4096)));
                    Allow(() => disk.Write(at, buffer));
                    Allow(() => disk.WriteZeroes(at + 4096, 60 << 10));
                    Allow(() => disk.Discard(at, (ulong)buffer.Length / 2));
                }
            }
            Allow(disk.Flush);
            return true;
        }
        catch (DiskException e)
        {
            Assert.DoesNotContain('\n', e.Message);
            return false;
        }
    }

    private static void Allow(Action action)
    {
        try
        {
            action();
        }
        catch (DiskException e)
        {
            Assert.DoesNotContain('\n', e.Message);
        }
    }

    [Fact]
    public void AGuestCannotWriteItsImagesHeader()
    {
        string image = _folder["disk.qcow2"];
        ImageKind.Make("plain", _folder, image, DiskBytes);
        QemuImg.Io(image, "qcow2", "write -P 3 0 64k");
        byte[] bytes = File.ReadAllBytes(image);
        int l2 = Tables(bytes)[3];
        // Guest cluster 0 is said to be in the cluster of the L1 table, as the guest's alone.
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(l2), (ulong)(uint)Tables(bytes)[1] | 1UL << 63);
        File.WriteAllBytes(image, bytes);
        using (IDisk disk = DiskImages.Open(image, DiskFormat.Qcow2, readOnly: false))
        {
            DiskException refusal = Assert.Throws<DiskException>(() => disk.Write(0, new byte[512]));
            Assert.Equal(DiskException.Eio, refusal.Errno);
            Assert.Contains("is a damaged qcow2 image: guest cluster 0h is said to be at", refusal.Message);
            Assert.Throws<DiskException>(() => disk.Write(1 << 20, new byte[512]));
        }
        DiskException marked = Assert.Throws<DiskException>(
            () => DiskImages.Open(image, DiskFormat.Qcow2, readOnly: false));
        Assert.Contains("marked as damaged", marked.Message);
        DiskImages.Open(image, DiskFormat.Qcow2, readOnly: true).Dispose();
    }

    [Fact]
    public void FeaturesThatAreNotKnownAreRefusedByName()
    {
        string image = _folder["disk.qcow2"];
        QemuImg.Run("create", "-q", "-f", "qcow2", "-o", "extended_l2=on", image, "4M");
        Assert.Contains("extended L2 entries", Refusal(image));
        QemuImg.Run("create", "-q", "-f", "qcow2", "-o", $"data_file={_folder["data"]}", image, "4M");
        Assert.Contains("data in an external file (incompatible feature bit 2)", Refusal(image));
        QemuImg.Run("create", "-q", "-f", "qcow2", image, "4M");
        byte[] bytes = File.ReadAllBytes(image);
        bytes[78] = 1;
        File.WriteAllBytes(image, bytes);
        Assert.Contains("no name given (incompatible feature bit 8)", Refusal(image));
        QemuImg.Run("create", "-q", "-f", "qcow2", "-u", "-b", "x.img", image, "4M", "-F", "raw");
        Assert.Contains("x.img: cannot open for reading", Refusal(image));
    }

    [Fact]
    public void BackingFilesAreNotGuessedAndNotEndless()
    {
        string image = _folder["disk.qcow2"];
        QemuImg.Run("create", "-q", "-f", "qcow2", "-u", "-b", "disk.qcow2", "-F", "qcow2", image, "4M");
        Assert.Contains("or a circle", Refusal(image));
        byte[] bytes = File.ReadAllBytes(image);
        bytes.AsSpan().Replace((byte)'q', (byte)'v');
        bytes[0] = (byte)'Q';
        File.WriteAllBytes(image, bytes);
        Assert.Contains("known are raw and qcow2", Refusal(image));
    }

    private static string Refusal(string image) => Assert.Throws<DiskException>(
        () => DiskImages.Open(image, DiskFormat.Qcow2, readOnly: true)).Message;
}
