using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Xunit;

namespace Ryokan.Host.Tests.Disks;

/// <summary>Disks of stock guests, through <c>xm</c>, judged by the guest's own programs and by qemu-img.</summary>
public sealed class DiskTests : IDisposable
{
    private const string Name = "disks";

    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    /// <summary>A guest with e2fsprogs and our small programs.</summary>
    internal static string Ramdisk
    {
        get
        {
            string cache = Environment.GetEnvironmentVariable("RYOKAN_CACHE") ?? "/var/cache/ryokan";
            string path = Path.Combine(cache, "guests/disk.cpio");
            Assert.True(File.Exists(path), $"{path} is missing: tests/Guests/images.sh makes it");
            return path;
        }
    }

    private string Config(string mode, params string[] disks) => _host.Config(Name, mode,
        $"ramdisk = \"{Ramdisk}\"", $"disk = [ {string.Join(", ", disks.Select(d => $"'{d}'"))} ]");

    [Fact]
    public void File_systems_on_raw_and_qcow2_disks_keep_their_contents()
    {
        string raw = DiskImage.Create(_host, "a.img", "raw", "160M");
        string qcow2 = DiskImage.Create(_host, "b.qcow2", "qcow2", "160M");
        Outcome outcome = _host.Xm("create", "-c", Config(
            "job job=filesystem disks=xvda,xvdb", $"{raw},raw,xvda,rw", $"format=qcow2,vdev=xvdb,target={qcow2}"));
        Assert.True(outcome.Status == 0, outcome.Output + outcome.Errors);
        Assert.DoesNotContain("FAIL", outcome.Output);
        Assert.DoesNotContain("kernel trouble", outcome.Output);
        Assert.Contains("PASS xvdb: file system is still clean", outcome.Output);
        Assert.Contains("job filesystem ended with status 0", outcome.Output);
        _host.AssertNothingLeft();
        DiskImage.Check(qcow2);
        foreach ((string path, string format) in new[] { (raw, "raw"), (qcow2, "qcow2") })
        {
            DiskImage.Run("e2fsck", "-f", "-n", DiskImage.AsRaw(path, format));
        }
    }

    [Fact]
    public void Read_only_disks_and_bad_ones()
    {
        string image = DiskImage.Create(_host, "a.img", "raw", "16M");
        File.WriteAllText(image + ".x", "");
        Assert.Contains(": disk: ", _host.MustFail("create", Config("off", $"{image}.none,raw,xvda,w")));
        Assert.Contains("not a qcow2 image", _host.MustFail("create", Config("off", $"{image},qcow2,xvda,w")));
        _host.Must("create", Config("shell", $"{image},raw,xvda,r"));
        using GuestShell guest = new(_host, Name);
        guest.Run("[ $(blockdev --getro /dev/xvda) = 1 ]");
        guest.Run("! dd if=/dev/zero of=/dev/xvda bs=4096 count=1 conv=fsync");
        guest.Run("dd if=/dev/xvda of=/dev/null bs=1M");
        Assert.Contains("is in use", _host.MustFail("block-attach", Name, $"{image},raw,xvdb,w"));
        // Readers share.
        _host.Must("block-attach", Name, $"{image},raw,xvdb,r");
        guest.AwaitSuccess("dd if=/dev/xvdb of=/dev/null bs=1M count=1");
    }

    [Fact]
    public void Disks_come_grow_and_go_while_the_guest_runs()
    {
        string image = DiskImage.Create(_host, "a.qcow2", "qcow2", "64M");
        _host.Must("create", _host.Config(Name, "shell", $"ramdisk = \"{Ramdisk}\""));
        using GuestShell guest = new(_host, Name);
        guest.Run("insmod /lib/modules/xen-blkfront.ko");
        _host.Must("block-attach", Name, $"{image},qcow2,xvdb,w");
        guest.AwaitSuccess("[ \"$(cat /sys/block/xvdb/size)\" = 131072 ]");
        Assert.Contains("a disk of that name already",
            _host.MustFail("block-attach", Name, $"{DiskImage.Create(_host, "b.img", "raw", "1M")},raw,xvdb,w"));
        string row = _host.Must("block-list", Name).Split('\n')[1];
        Assert.Equal(["51728", "0"], row.Split(' ', StringSplitOptions.RemoveEmptyEntries)[..2]);
        Assert.Contains($"qcow2 {image}", _host.Must("block-list", "-l", Name));

        guest.Run("mkfs.ext4 -q /dev/xvdb && mkdir -p /mnt && mount /dev/xvdb /mnt && echo kept >/mnt/file && sync");
        Assert.Contains("134217728 bytes", _host.Must("block-resize", Name, "xvdb", "128m"));
        guest.AwaitSuccess("[ \"$(cat /sys/block/xvdb/size)\" = 262144 ]");
        guest.Run("resize2fs /dev/xvdb && [ $(df -m /mnt | awk 'END { print $2 }') -gt 100 ]");
        Assert.Contains("smaller", _host.MustFail("block-resize", Name, "xvdb", "1m"));

        guest.Run("umount /mnt");
        _host.Must("block-detach", Name, "xvdb");
        guest.AwaitSuccess("[ ! -e /dev/xvdb ]");
        Assert.Contains("no disk", _host.MustFail("block-detach", Name, "xvdb"));
        DiskImage.Check(image);

        // The same again under another name: the image is free.
        _host.Must("block-attach", Name, $"{image},qcow2,xvdc,w");
        guest.AwaitSuccess("mount /dev/xvdc /mnt");
        Assert.Equal("kept", guest.Run("cat /mnt/file"));
        _host.Must("block-detach", "--force", Name, "xvdc");
        Assert.Equal(2, _host.Must("block-list", Name).Split('\n').Length);
        _host.Must("destroy", Name);
        DiskImage.Check(image);
    }

    [Fact]
    public void Media_of_a_drive_change()
    {
        string first = _host.Write("first.iso", Encoding.ASCII.GetBytes("first".PadRight(1 << 20)));
        string second = _host.Write("second.iso", Encoding.ASCII.GetBytes("second".PadRight(2 << 20)));
        _host.Must("create", Config("shell", $"{first},raw,xvdc,cdrom"));
        using GuestShell guest = new(_host, Name);
        guest.Run("[ \"$(head -c 5 /dev/xvdc)\" = first ]");
        _host.Must("cd-eject", Name, "xvdc");
        guest.AwaitSuccess("[ \"$(cat /sys/block/xvdc/size)\" = 0 ]");
        Assert.Contains("no medium", _host.Must("block-list", "-l", Name));
        _host.Must("cd-insert", Name, "xvdc", second);
        guest.AwaitSuccess("[ \"$(cat /sys/block/xvdc/size)\" = 4096 ]");
        guest.Run("[ \"$(head -c 6 /dev/xvdc)\" = second ]");
        Assert.Contains("cannot open", _host.MustFail("cd-insert", Name, "xvdc", second + ".none"));
    }

    /// <summary>The host's disk is full: the guest waits, says why, goes on, and has lost nothing.</summary>
    [RootTheory("a small file system to fill has to be mounted")]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public void A_full_host_pauses_the_guest(string format)
    {
        string folder = Path.GetDirectoryName(_host.Write("x", []))!;
        string small = Path.Combine(folder, "small");
        Directory.CreateDirectory(small);
        DiskImage.Run("mount", "-t", "tmpfs", "-o", "size=24M", "small", small);
        try
        {
            string image = Path.Combine(small, "image"), ballast = Path.Combine(small, "ballast");
            DiskImage.Run("qemu-img", "create", "-q", "-f", format, image, "64M");
            File.WriteAllBytes(ballast, new byte[16 << 20]);
            _host.Must("create", Config("shell", $"{image},{format},xvda,w"));
            using GuestShell guest = new(_host, Name);
            guest.Send("tr '\\0' x </dev/zero | dd of=/dev/xvda bs=64k count=256 iflag=fullblock oflag=direct"
                + "; echo \"wrote: $?\"");
            HostUnderTest.Await("the guest to be paused", () => _host.List() is [[_, _, _, _, "--p---", ..]]);
            Assert.Contains("No space left on device", _host.Xm("list").Errors);
            HostUnderTest.Await("the message", () => _host.Must("dmesg").Contains("paused: xvda", StringComparison.Ordinal));
            File.Delete(ballast);
            _host.Must("unpause", Name);
            guest.Await(new System.Text.RegularExpressions.Regex("wrote: 0"));
            Assert.Equal("", _host.Xm("list").Errors);
            _host.Must("shutdown", "-w", Name);
            using FileStream raw = File.OpenRead(DiskImage.AsRaw(image, format, folder));
            byte[] contents = new byte[16 << 20];
            raw.ReadExactly(contents);
            Assert.Equal(-1, contents.AsSpan().IndexOfAnyExcept((byte)'x'));
        }
        finally
        {
            _host.Xm("destroy", Name);
            DiskImage.Run("umount", "-l", small);
        }
    }
}
