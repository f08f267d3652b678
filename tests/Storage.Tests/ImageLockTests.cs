using System;
using System.IO;
using Xunit;

namespace Ryokan.Storage.Tests;

public sealed class ImageLockTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly string _path;

    public ImageLockTests()
    {
        _path = _folder["disk.img"];
        File.WriteAllBytes(_path, new byte[1 << 20]);
    }

    public void Dispose() => _folder.Dispose();

    private IDisk Open(bool readOnly) => DiskImages.Open(_path, DiskFormat.Raw, readOnly);

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void AWriterIsAlone(bool firstReads, bool secondReads)
    {
        using (Open(firstReads))
        {
            DiskException refusal = Assert.Throws<DiskException>(() => Open(secondReads));
            Assert.Equal(DiskException.Eagain, refusal.Errno);
            Assert.Contains("is in use", refusal.Message);
        }
        Open(secondReads).Dispose();
    }

    [Fact]
    public void ReadersShare()
    {
        using IDisk first = Open(readOnly: true);
        using IDisk second = Open(readOnly: true);
        Assert.Equal(first.SizeBytes, second.SizeBytes);
    }
}
