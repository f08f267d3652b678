using System;
using System.Collections.Generic;
using System.IO;
using Ryokan.Api.Guests;
using Ryokan.Api.Guests.Disks;
using Xunit;

namespace Ryokan.Api.Tests;

/// <summary>disk= as in xl-disk-configuration(5), and device numbers as in xen-vbd-interface(7).</summary>
public sealed class DiskSpecificationTests
{
    private static DiskConfig Parse(string text) => DiskSpecification.Parse(text, "/images");

    [Theory]
    [InlineData("/a.qcow2,qcow2,xvda,rw", "/a.qcow2", DiskImageFormat.Qcow2, "xvda", false, false)]
    [InlineData("b.img,raw,xvdb,r", "/images/b.img", DiskImageFormat.Raw, "xvdb", true, false)]
    [InlineData(" /a , , xvda , ", "/a", DiskImageFormat.Raw, "xvda", false, false)]
    [InlineData("/a,,hda,w", "/a", DiskImageFormat.Raw, "hda", false, false)]
    [InlineData("/a,raw,xvda,ro,no-discard", "/a", DiskImageFormat.Raw, "xvda", true, false)]
    [InlineData("format=qcow2,vdev=xvdc,access=ro,target=/a b,c=d", "/a b,c=d", DiskImageFormat.Qcow2, "xvdc", true,
        false)]
    [InlineData("/a,format=qcow2,vdev=xvdc", "/a", DiskImageFormat.Qcow2, "xvdc", false, false)]
    [InlineData("/a,qcow2,vdev=xvdc,access=rw", "/a", DiskImageFormat.Qcow2, "xvdc", false, false)]
    [InlineData("vdev=xvda,direct-io-safe,backendtype=qdisk,target=/a", "/a", DiskImageFormat.Raw, "xvda", false, false)]
    [InlineData("file:/a,xvda,w", "/a", DiskImageFormat.Raw, "xvda", false, false)]
    [InlineData("tap:aio:/a,xvda1,r", "/a", DiskImageFormat.Raw, "xvda1", true, false)]
    [InlineData("tap:qcow2:/a,xvda,w", "/a", DiskImageFormat.Qcow2, "xvda", false, false)]
    [InlineData("phy:vg/lv,xvda,w", "/dev/vg/lv", DiskImageFormat.Raw, "xvda", false, false)]
    [InlineData("phy:/dev/vg/lv,hdc:cdrom,r", "/dev/vg/lv", DiskImageFormat.Raw, "hdc", true, true)]
    [InlineData("/a.iso,raw,xvdc,cdrom", "/a.iso", DiskImageFormat.Raw, "xvdc", true, true)]
    [InlineData("devtype=cdrom,vdev=hdc,target=/a.iso", "/a.iso", DiskImageFormat.Raw, "hdc", true, true)]
    [InlineData("vdev=hdc,cdrom,format=empty", null, DiskImageFormat.Raw, "hdc", true, true)]
    [InlineData(",,hdc,cdrom", null, DiskImageFormat.Raw, "hdc", true, true)]
    public void Forms_of_the_manual_are_understood(
        string text, string? path, DiskImageFormat format, string vdev, bool readOnly, bool cdRom)
    {
        DiskConfig disk = Parse(text);
        Assert.Equal((path, format, vdev, readOnly, cdRom),
            (disk.Path, disk.Format, disk.VirtualDevice, disk.ReadOnly, disk.IsCdRom));
        Assert.Equal(!text.Contains("no-discard", StringComparison.Ordinal), disk.Discard);
    }

    [Theory]
    [InlineData("/a", "vdev: missing")]
    [InlineData("", "vdev: missing")]
    [InlineData(",raw,xvda,w", "target: missing")]
    [InlineData("/a,raw,xyz,w", "vdev: 'xyz'")]
    [InlineData("/a,vmdk,xvda,w", "format: 'vmdk'")]
    [InlineData("/a,vhd,xvda,w", "known to xl but not served")]
    [InlineData("/a,raw,xvda,x", "access: 'x'")]
    [InlineData("/a,raw,xvda,w,what", "one positional parameter too many")]
    [InlineData("/a,raw,xvda,w,what=1", "what: unknown parameter")]
    [InlineData("/a,raw,xvda,vdev=xvdb", "vdev: given twice")]
    [InlineData("/a,raw,xvda,rw,cdrom", "a CD drive is read-only")]
    [InlineData("/a,raw,xvda,devtype=tape", "devtype: 'tape'")]
    [InlineData("/a,raw,xvda,script=block-nbd", "script: known to xl but not served")]
    [InlineData("/a,raw,xvda,backend=storage", "only domain 0")]
    [InlineData("/a,raw,xvda,specification=virtio", "only xen is")]
    public void Mistakes_are_named(string text, string reason)
    {
        FormatException e = Assert.Throws<FormatException>(() => Parse(text));
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("xvda", 51712)]
    [InlineData("xvda1", 51713)]
    [InlineData("xvdp15", 51967)]
    [InlineData("xvdq", 1 << 28 | 16 << 8)]
    [InlineData("xvda16", 1 << 28 | 16)]
    [InlineData("xvdaa", 1 << 28 | 26 << 8)]
    [InlineData("hda", 768)]
    [InlineData("hdb5", 773 + 64)]
    [InlineData("hdc", 5632)]
    [InlineData("hdd", 5696)]
    [InlineData("sda", 2048)]
    [InlineData("sdb3", 2067)]
    [InlineData("d0", 51712)]
    [InlineData("d20p3", 1 << 28 | 20 << 8 | 3)]
    [InlineData("51712", 51712)]
    [InlineData("0xca00", 51712)]
    public void Device_names_have_numbers(string name, int number)
    {
        Assert.True(VirtualDevice.TryParse(name, out int parsed));
        Assert.Equal(number, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("xvd")]
    [InlineData("xvda0")]
    [InlineData("xvda256")]
    [InlineData("xvdA")]
    [InlineData("hde")]
    [InlineData("hda64")]
    [InlineData("sdq")]
    [InlineData("sda16")]
    [InlineData("xvdzzzzzzzzzz")]
    [InlineData("d")]
    [InlineData("d1p")]
    [InlineData("d1p2p3")]
    [InlineData("99999999999")]
    [InlineData("vda")]
    public void Names_that_are_none_have_no_number(string name) =>
        Assert.False(VirtualDevice.TryParse(name, out _));

    [Fact]
    public void A_description_names_file_line_key_and_reason()
    {
        string folder = Directory.CreateTempSubdirectory("ryokan-disk-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "k"), "");
            File.WriteAllText(Path.Combine(folder, "a.img"), "");
            GuestConfig Read(string disks) => GuestConfigReader.Read(
                $"name = \"x\"\nkernel = \"k\"\ndisk = [ {disks} ]", "x.cfg", folder, [], out IReadOnlyList<string> _);
            GuestConfig config = Read("'a.img,raw,xvda,w', 'a.img,raw,xvdb,r'");
            Assert.Equal((2, Path.Combine(folder, "a.img")), (config.Disks.Count, config.Disks[0].Path));
            string Message(string disks) => Assert.Throws<GuestConfigException>(() => Read(disks)).Message;
            Assert.Equal($"x.cfg:3: disk: {folder}/b.img: no such file", Message("'b.img,raw,xvda,w'"));
            Assert.Contains("x.cfg:3: disk: 'a.img,raw,xvda,q': access", Message("'a.img,raw,xvda,q'"));
            Assert.Contains("vdev: 51712 is taken already (as xvda)",
                Message("'a.img,raw,xvda,w', 'a.img,raw,51712,r'"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
