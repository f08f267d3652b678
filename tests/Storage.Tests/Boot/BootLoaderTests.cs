using System;
using System.Buffers.Binary;
using System.IO;
using System.Text;
using Ryokan.Storage.Boot;
using Xunit;

namespace Ryokan.Storage.Tests.Boot;

/// <summary>Kernels out of disks that mke2fs made.</summary>
public sealed class BootLoaderTests : IDisposable
{
    private const ulong DiskBytes = 64 << 20, PartitionOffset = 1 << 20;

    private static readonly BootRequest s_anything = new(null, null, null, 1 << 20);

    private readonly TempFolder _folder = new();
    private readonly string _tree, _image;

    public BootLoaderTests()
    {
        _tree = _folder["tree"];
        _image = _folder["disk.img"];
        Directory.CreateDirectory(Path.Combine(_tree, "boot/grub"));
        Put("boot/vmlinuz-6.1.0-9-amd64", "old kernel");
        Put("boot/initrd.img-6.1.0-9-amd64", "old ramdisk");
        Put("boot/vmlinuz-6.1.0-10-amd64", "new kernel");
        Put("boot/initrd.img-6.1.0-10-amd64", "new ramdisk");
    }

    public void Dispose() => _folder.Dispose();

    private void Put(string path, string contents) => File.WriteAllText(Path.Combine(_tree, path), contents);

    private void MakeDisk(string type, bool partitioned = true)
    {
        using (FileStream file = File.Create(_image))
        {
            file.SetLength((long)DiskBytes);
        }
        ulong offset = partitioned ? PartitionOffset : 0;
        (int status, string output) = QemuImg.Try("mke2fs",
            ["-q", "-F", "-t", type, "-d", _tree, "-U", "00112233-4455-6677-8899-aabbccddeeff",
            "-E", $"offset={offset}", _image, $"{(DiskBytes - offset) / 1024}k"]);
        Assert.True(status == 0, output);
        if (partitioned)
        {
            byte[] sector = new byte[512];
            sector[446 + 4] = 0x83;
            BinaryPrimitives.WriteUInt32LittleEndian(sector.AsSpan(446 + 8), (uint)(offset / 512));
            BinaryPrimitives.WriteUInt32LittleEndian(sector.AsSpan(446 + 12), (uint)((DiskBytes - offset) / 512));
            (sector[510], sector[511]) = (0x55, 0xaa);
            using FileStream file = File.OpenWrite(_image);
            file.Write(sector);
        }
    }

    private BootFiles Read(BootRequest? request = null, DiskFormat format = DiskFormat.Raw)
    {
        string path = _image;
        if (format == DiskFormat.Qcow2)
        {
            path = _folder["disk.qcow2"];
            QemuImg.Run("convert", "-f", "raw", "-O", "qcow2", "-c", _image, path);
        }
        using IDisk disk = DiskImages.Open(path, format, readOnly: true);
        return BootLoader.Read(disk, request ?? s_anything);
    }

    private static string Text(byte[]? bytes) => Encoding.UTF8.GetString(bytes!);

    [Theory]
    [InlineData("ext2", false, DiskFormat.Raw)]
    [InlineData("ext3", true, DiskFormat.Raw)]
    [InlineData("ext4", true, DiskFormat.Raw)]
    [InlineData("ext4", true, DiskFormat.Qcow2)]
    public void TheNewestKernelIsFound(string type, bool partitioned, DiskFormat format)
    {
        MakeDisk(type, partitioned);
        BootFiles files = Read(format: format);
        Assert.Equal("new kernel", Text(files.Kernel));
        Assert.Equal("new ramdisk", Text(files.Ramdisk));
        Assert.Equal("root=UUID=00112233-4455-6677-8899-aabbccddeeff ro", files.RootArgument);
        Assert.Equal((partitioned ? "partition 1" : "the whole disk") + ", /boot/vmlinuz-6.1.0-10-amd64", files.Source);
    }

    [Fact]
    public void GrubHasTheLastWord()
    {
        Put("boot/grub/grub.cfg", """
            if [ "${next_entry}" ] ; then
               set default="${next_entry}"
            else
               set default="1>0"
            fi
            menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple' {
                insmod ext2
                linux /boot/vmlinuz-6.1.0-10-amd64 root=/dev/xvda1 ro quiet
                initrd /boot/initrd.img-6.1.0-10-amd64
            }
            submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced' {
                menuentry 'Old "one"' --id old {
                    if [ x$grub_platform = xxen ]; then insmod xzio; fi
                    linux ($root)/boot/vmlinuz-6.1.0-9-amd64 root=/dev/xvda1 ro "a b"
                    initrd /boot/initrd.img-6.1.0-9-amd64
                }
            }
            """);
        MakeDisk("ext4");
        BootFiles files = Read();
        Assert.Equal("old kernel", Text(files.Kernel));
        Assert.Equal("old ramdisk", Text(files.Ramdisk));
        Assert.Equal("root=/dev/xvda1 ro a b", files.Arguments);
        Assert.Equal("new kernel", Text(Read(s_anything with { Entry = "0" }).Kernel));
        Assert.Equal("old kernel", Text(Read(s_anything with { Entry = "gnulinux-advanced>old" }).Kernel));
        Assert.Contains("no grub.cfg with an entry 'x'",
            Assert.Throws<BootException>(() => Read(s_anything with { Entry = "x" })).Message);
    }

    [Fact]
    public void SavedEntryIsHeeded()
    {
        Put("boot/grub/grub.cfg", """
            set default="${saved_entry}"
            menuentry 'First' { linux /boot/vmlinuz-6.1.0-10-amd64
            }
            menuentry 'Second' {
                linux /boot/vmlinuz-6.1.0-9-amd64 ro
            }
            """);
        Put("boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=Second\n######");
        MakeDisk("ext4");
        Assert.Equal("old kernel", Text(Read().Kernel));
    }

    [Fact]
    public void AKernelCanBeNamed()
    {
        MakeDisk("ext4");
        BootFiles files = Read(s_anything with { Kernel = "/boot/vmlinuz-6.1.0-9-amd64" });
        Assert.Equal("old ramdisk", Text(files.Ramdisk));
        Assert.Contains("there is no /boot/x",
            Assert.Throws<BootException>(() => Read(s_anything with { Kernel = "/boot/x" })).Message);
    }

    [Fact]
    public void ALinkIsFollowed()
    {
        File.CreateSymbolicLink(Path.Combine(_tree, "boot/vmlinuz-7"), "vmlinuz-6.1.0-9-amd64");
        MakeDisk("ext4");
        BootFiles files = Read();
        Assert.Equal("old kernel", Text(files.Kernel));
        Assert.Null(files.Ramdisk);
    }

    [Fact]
    public void WhatIsTooLargeIsRefused()
    {
        Put("boot/initrd.img-6.1.0-10-amd64", new string('x', 2 << 20));
        MakeDisk("ext4");
        Assert.Contains("the most is 1048576", Assert.Throws<BootException>(() => Read()).Message);
    }

    [Fact]
    public void ADiskWithoutAFileSystemIsSaidToBe()
    {
        File.WriteAllBytes(_image, new byte[1 << 20]);
        Assert.Contains("no ext2, ext3 or ext4", Assert.Throws<BootException>(() => Read()).Message);
    }

    /// <summary>Damaged file systems are refused or read; they neither throw otherwise nor go on for
    /// ever.</summary>
    [Fact]
    public void DamagedFileSystemsDoNoHarm()
    {
        MakeDisk("ext4", partitioned: false);
        byte[] good = File.ReadAllBytes(_image);
        Random random = new(3);
        int refused = 0;
        for (int i = 0; i < 300; i++)
        {
            byte[] bad = (byte[])good.Clone();
            for (int hit = random.Next(1, 40); hit > 0; hit--)
            {
                // Superblock, group descriptors, inode tables and folders are at the beginning.
                int at = random.Next(2) == 0 ? random.Next(1024, 8192) : random.Next(8 << 20);
                bad[at] = (byte)random.Next(256);
            }
            File.WriteAllBytes(_image, bad);
            try
            {
                Read();
            }
            catch (BootException)
            {
                refused++;
            }
        }
        Assert.InRange(refused, 1, 300);
    }

    [Theory]
    [InlineData("vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-10-amd64")]
    [InlineData("vmlinuz-6.1", "vmlinuz-6.1.1")]
    [InlineData("vmlinuz-6.2-rc1", "vmlinuz-6.2")]
    [InlineData("vmlinuz-6.2~rc1", "vmlinuz-6.2")]
    [InlineData("vmlinuz-5.19", "vmlinuz-6.01")]
    public void NewerIsNewer(string older, string newer)
    {
        Assert.True(KernelVersion.Compare(older, newer) < 0);
        Assert.True(KernelVersion.Compare(newer, older) > 0);
        Assert.Equal(0, KernelVersion.Compare(newer, newer));
    }
}
