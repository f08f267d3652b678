using System;
using System.Collections.Generic;
using System.IO;
using Ryokan.Api.Guests;
using Xunit;

namespace Ryokan.Api.Tests;

/// <summary>What descriptions mean, and what is said about those that mean nothing.</summary>
public sealed class GuestConfigReaderTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("ryokan-cfg-").FullName;

    public GuestConfigReaderTests()
    {
        File.WriteAllText(Path.Combine(_directory, "vmlinuz"), "kernel");
        File.WriteAllText(Path.Combine(_directory, "initrd"), "ramdisk");
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private GuestConfig Read(string text, out IReadOnlyList<string> warnings, params string[] overrides) =>
        GuestConfigReader.Read(text, "g.cfg", _directory, overrides, out warnings);

    private const string Minimal = "name='g'\nkernel='vmlinuz'\n";

    [Fact]
    public void MinimalDescriptionGetsDefaults()
    {
        GuestConfig config = Read(Minimal, out IReadOnlyList<string> warnings);
        Assert.Empty(warnings);
        Assert.Equal("g", config.Name);
        Assert.Equal(Path.Combine(_directory, "vmlinuz"), config.Kernel);
        Assert.Null(config.Ramdisk);
        Assert.Equal("", config.CommandLine);
        Assert.Equal(
            (256, 256, 1, 1), (config.MemoryMiB, config.MaxMemoryMiB, config.Vcpus, config.MaxVcpus));
        Assert.Equal((ShutdownAction.Destroy, ShutdownAction.Restart, ShutdownAction.Destroy),
            (config.OnPoweroff, config.OnReboot, config.OnCrash));
        Assert.NotEqual(Guid.Empty, config.Uuid);
        Assert.NotEqual(config.Uuid, Read(Minimal, out _).Uuid);
    }

    [Fact]
    public void EveryServedKeyIsTaken()
    {
        GuestConfig config = Read("""
            name = "web-1"; type = "pv"
            kernel = "vmlinuz"
            ramdisk = "initrd"
            root = "/dev/xvda1 ro"
            extra = "console=hvc0"
            memory = 0x200
            maxmem = "1024"
            vcpus = 2
            maxvcpus = 04
            on_poweroff = "preserve"
            on_reboot = "destroy"
            on_crash = "rename-restart"
            uuid = "12345678-9abc-def0-1234-56789abcdef0"
            """, out _);
        Assert.Equal("root=/dev/xvda1 ro console=hvc0", config.CommandLine);
        Assert.Equal(
            (512, 1024, 2, 4), (config.MemoryMiB, config.MaxMemoryMiB, config.Vcpus, config.MaxVcpus));
        Assert.Equal((ShutdownAction.Preserve, ShutdownAction.Destroy, ShutdownAction.RenameRestart),
            (config.OnPoweroff, config.OnReboot, config.OnCrash));
        Assert.Equal(Guid.Parse("12345678-9abc-def0-1234-56789abcdef0"), config.Uuid);
    }

    [Fact]
    public void CmdlineWinsOverRootAndExtra()
    {
        Assert.Equal(
            "a", Read(
                Minimal + "cmdline='a'\nroot='/dev/b'", out IReadOnlyList<string> warnings).CommandLine);
        Assert.Equal("g.cfg:3: cmdline: given, so root and extra are ignored", Assert.Single(warnings));
    }

    [Fact]
    public void OverridesWinAndAppendAppends()
    {
        GuestConfig config =
            Read(Minimal + "memory=64\nextra='a'\nextra+=' b'", out _, "memory=128", "name=h");
        Assert.Equal(("h", 128, "a b"), (config.Name, config.MemoryMiB, config.CommandLine));
    }

    [Fact]
    public void KnownButUnservedKeysWarnByName()
    {
        Read(Minimal + "usbdev=['type=hostdev']\nbuilder='generic'\nusbdev=[]",
            out IReadOnlyList<string> warnings);
        Assert.Equal(
            ["g.cfg:3: usbdev: known to xl but not served yet; ignored",
                "g.cfg:4: builder: known to xl but not served yet; ignored"], warnings);
    }

    [Theory]
    [InlineData("kernel='vmlinuz'", "g.cfg: name: not set; every guest needs one")]
    [InlineData("name='g'", "g.cfg: kernel: not set; a 'pv' guest needs the path of its kernel,"
        + " or bootloader = \"pygrub\"")]
    [InlineData("name='g'\nbootloader='lilo'", "g.cfg:2: bootloader: 'lilo' is not served; 'pygrub' is")]
    [InlineData("name='g'\nbootloader='pygrub'", "g.cfg:2: bootloader: the guest has no disk to boot from")]
    [InlineData("name='g'\nbootloader='pygrub'\nkernel='vmlinuz'",
        "g.cfg:3: kernel: set together with bootloader, which takes it out of the guest's disk; drop one")]
    [InlineData("name='g'\nbootloader='/usr/bin/pygrub'\ndisk=['vmlinuz,raw,xvda,r']\nbootloader_args='--entry'",
        "g.cfg:4: bootloader_args: '--entry' is not served; known are --kernel=, --ramdisk=, --entry= and --args=")]
    [InlineData("name='g'\nkernel='vmlinuz'\ncloudinit='nope'", "g.cfg:3: cloudinit: {0}/nope: no such file")]
    [InlineData("name='g'\nkernel='nope'", "g.cfg:2: kernel: {0}/nope: no such file")]
    [InlineData("name='g'\nkernel='.'", "g.cfg:2: kernel: {0}: a directory, not a file")]
    [InlineData("name='g'\nkernel=''", "g.cfg:2: kernel: an empty path")]
    [InlineData(Minimal + "ramdisk='nope'", "g.cfg:3: ramdisk: {0}/nope: no such file")]
    [InlineData(Minimal + "memroy=1", "g.cfg:3: memroy: unknown key (did you mean 'memory'?)")]
    [InlineData(Minimal + "zzzzzzzz=1", "g.cfg:3: zzzzzzzz: unknown key")]
    [InlineData(Minimal + "memory='lots'", "g.cfg:3: memory: 'lots' is not a number")]
    [InlineData(Minimal + "memory=08", "g.cfg:3: memory: '08' is not a number")]
    [InlineData(Minimal + "memory=0", "g.cfg:3: memory: 0 is not from 1 to 524288")]
    [InlineData(Minimal + "memory=-1", "g.cfg:3: memory: -1 is not from 1 to 524288")]
    [InlineData(
        Minimal + "memory=99999999999999999999", "g.cfg:3: memory: '99999999999999999999' is not a number")]
    [InlineData(Minimal + "memory=[1]", "g.cfg:3: memory: a list where one value was expected")]
    [InlineData(Minimal + "memory=64\nmaxmem=32", "g.cfg:4: maxmem: 32 is less than memory (64)")]
    [InlineData(Minimal + "vcpus=0", "g.cfg:3: vcpus: 0 is not from 1 to 8")]
    [InlineData(Minimal + "vcpus=2\nmaxvcpus=1", "g.cfg:4: maxvcpus: 1 is less than vcpus (2)")]
    [InlineData(Minimal + "type='hvm'", "g.cfg:3: type: 'hvm' guests are not served yet; only 'pv' is")]
    [InlineData(Minimal + "type='tv'", "g.cfg:3: type: 'tv' is not a type of guest; only 'pv' is served")]
    [InlineData(Minimal + "on_crash='weep'",
        "g.cfg:3: on_crash: 'weep' is not one of destroy, restart, preserve, rename-restart")]
    [InlineData(Minimal + "on_crash='coredump-restart'",
        "g.cfg:3: on_crash: 'coredump-restart' is known to xl but not served yet")]
    [InlineData(Minimal + "uuid='123'", "g.cfg:3: uuid: '123' is not a UUID")]
    [InlineData("kernel='vmlinuz'\nname='a/b'",
        "g.cfg:2: name: 'a/b' contains '/'; letters, digits and - _ . + : make a name")]
    [InlineData("kernel='vmlinuz'\nname=''", "g.cfg:2: name: a name has 1 to 64 characters")]
    [InlineData("kernel='vmlinuz'\nname='..'", "g.cfg:2: name: '..' starts with '.'")]
    [InlineData(
        "kernel='vmlinuz'\nname='7'", "g.cfg:2: name: '7' is a number and would be taken for a domain id")]
    public void BadDescriptionsAreNamedInOneLine(string text, string expected) => Assert.Equal(
        expected.Replace("{0}", _directory, StringComparison.Ordinal),
        Assert.Throws<GuestConfigException>(() => Read(text, out _)).Message);

    [Fact]
    public void OverridesAreNamedToo() => Assert.Equal("command line: memory: 'x' is not a number",
        Assert.Throws<GuestConfigException>(() => Read(Minimal, out _, "memory=x")).Message);

    [Fact]
    public void MissingAndBinaryFilesAreNamed()
    {
        string missing = Path.Combine(_directory, "none.cfg");
        Assert.Equal($"{missing}: no such file", Assert.Throws<GuestConfigException>(
            () => GuestConfigReader.ReadFile(missing, [], out _)).Message);
        Assert.Equal($"{_directory}: cannot be read (permission denied, or a directory)",
            Assert.Throws<GuestConfigException>(
                () => GuestConfigReader.ReadFile(_directory, [], out _)).Message);
        string binary = Path.Combine(_directory, "binary.cfg");
        File.WriteAllBytes(binary, [0xff, 0xfe, 0x80]);
        Assert.Equal($"{binary}: not a text file in UTF-8", Assert.Throws<GuestConfigException>(
            () => GuestConfigReader.ReadFile(binary, [], out _)).Message);
    }

    /// <summary>A served key must not also be listed as unserved.</summary>
    [Fact]
    public void ServedAndUnservedKeysDoNotOverlap()
    {
        Assert.Equal(32, XlKeys.Served.Count);
        Assert.DoesNotContain(XlKeys.Served, XlKeys.KnownToXl.Contains);
    }
}
