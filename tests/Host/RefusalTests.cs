using System;
using System.IO;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>What cannot be done is said in one line, and nothing of it is left.</summary>
public sealed class RefusalTests : IDisposable
{
    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void BadCommandsAreNamed()
    {
        Assert.Equal("there is no command 'frobnicate'; 'xm help' lists them", _host.MustFail("frobnicate"));
        Assert.Equal("create: an argument is missing; usage: xm create [-c] [-p] [-q] [-V] FILE.cfg [key=val ...]",
            _host.MustFail("create"));
        Assert.Equal("pause: 'b' is one argument too many; usage: xm pause DOMAIN", _host.MustFail("pause", "a", "b"));
        Assert.Equal("list: unknown option '-x'; usage: xm list [-l] [DOMAIN ...]", _host.MustFail("list", "-x"));
        Assert.Equal("there is no domain 'ghost'", _host.MustFail("console", "ghost"));
        Assert.Equal("there is no domain '77'", _host.MustFail("domname", "77"));
        Assert.Equal("there is no domain 'ghost'", _host.MustFail("uptime", "ghost"));
        Assert.Equal("there is no domain 'ghost'", _host.MustFail("vcpu-list", "ghost"));
        Assert.Equal("there is no domain 'ghost'", _host.MustFail("list", "ghost"));
        Assert.StartsWith("domname: 'x' is not a domain id", _host.MustFail("domname", "x"), StringComparison.Ordinal);
    }

    [Fact]
    public void HelpAndVersionNeedNoDaemon()
    {
        Assert.Contains("vcpu-list", _host.Must("help"), StringComparison.Ordinal);
        Assert.Contains("usage: xm create", _host.Must("help", "create"), StringComparison.Ordinal);
        Assert.StartsWith("xm (Ryokan) ", _host.Must("--version"), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_host.Runtime));
    }

    [Fact]
    public void BadDescriptionsLeaveNothing()
    {
        string good = _host.Config("good", "off");
        Assert.Equal("/none.cfg: no such file", _host.MustFail("create", "/none.cfg"));
        Assert.Equal("command line: memory: 'much' is not a number", _host.MustFail("create", good, "memory=much"));
        Assert.Equal("command line: kernel: /none: no such file", _host.MustFail("create", good, "kernel=/none"));
        Assert.Equal("command line: kernel: /tmp: a directory, not a file",
            _host.MustFail("create", good, "kernel=/tmp"));
        Assert.Equal("command line:1: vcpus: 9 is not from 1 to 8", _host.MustFail("create", good, "vcpus=9"));
        Assert.Equal("command line:1: maxvcpus: 2 is less than vcpus (4)",
            _host.MustFail("create", good, "vcpus=4", "maxvcpus=2"));
        Assert.Equal("command line:1: on_crash: 'explode' is not one of destroy, restart, preserve, rename-restart",
            _host.MustFail("create", good, "on_crash='explode'"));
        Assert.Equal("command line: 'nonsense': not of the form key=value",
            _host.MustFail("create", good, "nonsense"));
        string typo = _host.Config("typo", "off", "memroy = 3");
        Assert.Equal($"{typo}:6: memroy: unknown key (did you mean 'memory'?)", _host.MustFail("create", typo));
        Outcome warned = _host.Xm("create", "-c", "-q", _host.Config("warned", "off", "spice = 1"));
        Assert.Equal(0, warned.Status);
        Assert.Contains("spice: known to xl but not served yet; ignored", warned.Errors, StringComparison.Ordinal);
        _host.AssertNothingLeft();
    }

    [Fact]
    public void BadKernelsAndArchivesLeaveNothing()
    {
        string good = _host.Config("good", "off");
        byte[] kernel = File.ReadAllBytes(HostUnderTest.Kernel);
        byte[] archive = File.ReadAllBytes(HostUnderTest.Initramfs);

        string text = _host.Write("text", "not a kernel, by far"u8.ToArray());
        Assert.Equal($"{good}: kernel: {text}: neither a bzImage nor an ELF file",
            _host.MustFail("create", good, $"kernel={text}"));
        string cut = _host.Write("cut", kernel[..(kernel.Length / 2)]);
        Assert.StartsWith($"{good}: kernel: {cut}: truncated: ", _host.MustFail("create", good, $"kernel={cut}"),
            StringComparison.Ordinal);
        byte[] damaged = (byte[])kernel.Clone();
        damaged.AsSpan(1_000_000, 64).Clear();
        string bad = _host.Write("bad", damaged);
        Assert.StartsWith($"{good}: kernel: {bad}: corrupt", _host.MustFail("create", good, $"kernel={bad}"),
            StringComparison.Ordinal);
        string half = _host.Write("half", archive[..(archive.Length / 2)]);
        Assert.Contains($"ramdisk: {half}: ", _host.MustFail("create", good, $"ramdisk={half}"),
            StringComparison.Ordinal);
        Assert.StartsWith($"{good}: memory: 32 MiB is too little: ", _host.MustFail("create", good, "memory=32"),
            StringComparison.Ordinal);
        Assert.StartsWith($"{good}: cmdline: 1500 bytes are too long",
            _host.MustFail("create", good, "cmdline=" + new string('x', 1500)), StringComparison.Ordinal);
        _host.AssertNothingLeft();
        Assert.False(File.Exists(Path.Combine(_host.State, "guest-good.log"))
            && new FileInfo(Path.Combine(_host.State, "guest-good.log")).Length != 0);
    }

    [Fact]
    public void NamesAreUnique()
    {
        string config = _host.Config("one", "stay");
        _host.Must("create", "-p", config);
        Assert.Equal($"{config}: name: a domain 'one' exists already (id 1)", _host.MustFail("create", config));
        Assert.Single(_host.List());
    }

    /// <summary>A guest that has not come far enough to listen is not said to have been asked.</summary>
    [Fact]
    public void GuestsThatDoNotListenAreNamed()
    {
        _host.Must("create", "-p", "-q", _host.Config("deaf", "stay"));
        Assert.StartsWith("domain 'deaf' does not listen for that (yet)", _host.MustFail("shutdown", "deaf"),
            StringComparison.Ordinal);
        Assert.StartsWith("domain 'deaf' does not listen for that (yet)", _host.MustFail("sysrq", "deaf", "s"),
            StringComparison.Ordinal);
        Assert.StartsWith("sysrq: 'ab' is not one letter or digit", _host.MustFail("sysrq", "deaf", "ab"),
            StringComparison.Ordinal);
    }
}
