using System;
using System.Diagnostics;
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

    [Fact]
    public void QemuAndWeKeepOutOfEachOthersWay()
    {
        using (Open(readOnly: false))
        {
            (int status, string output) = QemuImg.Try("qemu-io", ["-f", "raw", "-c", "write 0 512", _path]);
            Assert.True(status != 0 && output.Contains("lock", StringComparison.Ordinal), output);
            (status, output) = QemuImg.Try(
                "qemu-img", ["convert", "-f", "raw", "-O", "raw", _path, _folder["copy.img"]]);
            Assert.True(status != 0 && output.Contains("lock", StringComparison.Ordinal), output);
        }
        ProcessStartInfo start = new("qemu-io", ["-f", "raw", _path])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using Process qemu = Process.Start(start)!;
        // A prompt after a command: the image is open by then.
        qemu.StandardInput.WriteLine("write 0 512");
        qemu.StandardInput.Flush();
        Assert.Contains("wrote 512", qemu.StandardOutput.ReadLine());
        Assert.Equal(DiskException.Eagain, Assert.Throws<DiskException>(() => Open(readOnly: true)).Errno);
        qemu.StandardInput.Close();
        qemu.WaitForExit();
        Open(readOnly: false).Dispose();
    }
}
