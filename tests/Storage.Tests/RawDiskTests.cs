using System;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using Ryokan.Linux.Interop.Files;
using Xunit;

namespace Ryokan.Storage.Tests;

public sealed class RawDiskTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Make(ulong bytes)
    {
        string path = _folder["disk.img"];
        using FileStream file = File.Create(path);
        file.SetLength((long)bytes);
        return path;
    }

    [Fact]
    public void WhatWasWrittenIsRead()
    {
        string path = Make(1 << 20);
        byte[] data = new byte[12345];
        new Random(1).NextBytes(data);
        using (IDisk disk = DiskImages.Open(path, DiskFormat.Raw, readOnly: false))
        {
            Assert.Equal(1UL << 20, disk.SizeBytes);
            disk.Write(777, data);
            disk.Flush();
            byte[] back = new byte[data.Length];
            disk.Read(777, back);
            Assert.Equal(data, back);
        }
        Assert.Equal(data, File.ReadAllBytes(path).AsSpan(777, data.Length).ToArray());
    }

    [Fact]
    public void PiecesOfMemoryTogetherAreOneRange()
    {
        using IDisk disk = DiskImages.Open(Make(8 << 20), DiskFormat.Raw, readOnly: false);
        byte[] data = GC.AllocateArray<byte>(5 << 20, pinned: true);
        new Random(2).NextBytes(data);
        // More than one call of the kernel takes (1024), of odd sizes, some empty.
        IoVector[] pieces = Cut(data, 2500);
        disk.Write(4096, pieces);
        byte[] back = GC.AllocateArray<byte>(data.Length, pinned: true);
        disk.Read(4096, Cut(back, 1700));
        Assert.True(data.AsSpan().SequenceEqual(back));
        Array.Clear(back);
        disk.Read(4096, back.AsSpan());
        Assert.True(data.AsSpan().SequenceEqual(back));
    }

    private static IoVector[] Cut(byte[] data, int count)
    {
        Random random = new(count);
        nint start = Marshal.UnsafeAddrOfPinnedArrayElement(data, 0);
        int[] cuts = [0, .. Enumerable.Range(0, count - 1).Select(_ => random.Next(data.Length)).Order(), data.Length];
        return [.. Enumerable.Range(0, count)
            .Select(i => new IoVector(start + cuts[i], (nuint)(cuts[i + 1] - cuts[i])))];
    }

    [Fact]
    public void ZeroesAndDiscardsLeaveTheNeighboursAlone()
    {
        using IDisk disk = DiskImages.Open(Make(1 << 20), DiskFormat.Raw, readOnly: false);
        byte[] ones = Enumerable.Repeat((byte)1, 1 << 20).ToArray();
        disk.Write(0, ones);
        disk.WriteZeroes(5000, 10000);
        disk.Discard(65536, 65536);
        byte[] back = new byte[1 << 20];
        disk.Read(0, back);
        Assert.True(back.AsSpan(0, 5000).SequenceEqual(ones.AsSpan(0, 5000)));
        Assert.False(back.AsSpan(5000, 10000).ContainsAnyExcept((byte)0));
        Assert.True(back.AsSpan(15000, 50536).SequenceEqual(ones.AsSpan(0, 50536)));
        Assert.True(back.AsSpan(131072).SequenceEqual(ones.AsSpan(131072)));
    }

    [Fact]
    public void TheLastSectorOfAnOddFileIsFilledUp()
    {
        string path = Make(1000);
        using IDisk disk = DiskImages.Open(path, DiskFormat.Raw, readOnly: false);
        Assert.Equal(1024UL, disk.SizeBytes);
        byte[] back = Enumerable.Repeat((byte)9, 1024).ToArray();
        disk.Read(0, back);
        Assert.False(back.AsSpan().ContainsAnyExcept((byte)0));
        disk.Write(512, Enumerable.Repeat((byte)3, 512).ToArray());
        Assert.Equal(1024, new FileInfo(path).Length);
    }

    [Theory]
    [InlineData(1UL << 20, 1)]
    [InlineData((1UL << 20) - 1, 2)]
    [InlineData(ulong.MaxValue, 1)]
    [InlineData(ulong.MaxValue - 510, 512)]
    public void WhatIsNotInsideTheDiskIsRefused(ulong offset, int length)
    {
        using IDisk disk = DiskImages.Open(Make(1 << 20), DiskFormat.Raw, readOnly: false);
        byte[] data = new byte[length];
        Assert.Equal(DiskException.Einval, Assert.Throws<DiskException>(() => disk.Read(offset, data)).Errno);
        Assert.Throws<DiskException>(() => disk.Write(offset, data));
        Assert.Throws<DiskException>(() => disk.Discard(offset, (ulong)length));
        Assert.Throws<DiskException>(() => disk.WriteZeroes(offset, (ulong)length));
    }

    [Fact]
    public void ReadOnlyIsReadOnly()
    {
        string path = Make(4096);
        using IDisk disk = DiskImages.Open(path, DiskFormat.Raw, readOnly: true);
        Assert.True(disk.IsReadOnly);
        Assert.Equal(DiskException.Erofs, Assert.Throws<DiskException>(() => disk.Write(0, new byte[512])).Errno);
        Assert.Throws<DiskException>(() => disk.WriteZeroes(0, 512));
        Assert.Throws<DiskException>(() => disk.Discard(0, 512));
        Assert.Throws<DiskException>(() => disk.Resize(8192));
        disk.Flush();
    }

    [Fact]
    public void ADiskGrowsButDoesNotShrink()
    {
        string path = Make(4096);
        using IDisk disk = DiskImages.Open(path, DiskFormat.Raw, readOnly: false);
        disk.Resize(1 << 20);
        Assert.Equal(1UL << 20, disk.SizeBytes);
        Assert.Equal(1 << 20, new FileInfo(path).Length);
        DiskException refusal = Assert.Throws<DiskException>(() => disk.Resize(4096));
        Assert.Equal(DiskException.Einval, refusal.Errno);
        Assert.Contains("smaller", refusal.Message);
    }

    [Fact]
    public void AFullHostIsTold()
    {
        // /dev/full is no block device; a file size limit of the process would end it with a signal. A file
        // at the
        // largest offset that the file system knows is the portable way to a write that the host refuses.
        using IDisk disk = DiskImages.Open(Make(1 << 20), DiskFormat.Raw, readOnly: false);
        DiskException refusal = Assert.Throws<DiskException>(() => disk.Resize(1UL << 62));
        Assert.NotEqual(0, refusal.Errno);
        Assert.Contains("disk.img: cannot", refusal.Message);
    }

    [Fact]
    public void WhatIsNoDiskIsRefusedInOneLine()
    {
        Assert.Equal(2, Refusal(_folder["missing"]).Errno);
        Assert.Equal(21, Refusal(_folder.Path).Errno);
        DiskException refusal = Refusal("/dev/null");
        Assert.Equal("/dev/null: is neither a file nor a block device", refusal.Message);
    }

    private static DiskException Refusal(string path) =>
        Assert.Throws<DiskException>(() => DiskImages.Open(path, DiskFormat.Raw, readOnly: true));
}
