using System;
using System.IO;
using Xunit;

namespace Ryokan.Host.Tests.Disks;

/// <summary>
/// A root disk built by xm image build, booted from by its own kernel. Takes minutes and the Debian archive: run with
/// RYOKAN_SLOW_TESTS=1.
/// </summary>
public sealed class DebianImageTests : IDisposable
{
    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    [SlowFact]
    public void ABuiltImageBootsToTheLoginPrompt()
    {
        // Some hundred packages are fetched and configured.
        _host.MustWithin(TimeSpan.FromMinutes(10), "image", "build", "deb", "--size", "2G", "--hostname", "inn");
        Assert.Contains("deb ", _host.Must("image", "list"), StringComparison.Ordinal);
        Assert.Contains("there is an image 'deb' already", _host.MustFail("image", "build", "deb"),
            StringComparison.Ordinal);
        string image = Path.Combine(_host.State, "images/deb.qcow2");
        string config = _host.Write("deb.cfg", System.Text.Encoding.UTF8.GetBytes($"""
            name = "deb"
            memory = 512
            disk = ["{image},qcow2,xvda,rw"]
            bootloader = "pygrub"
            extra = "console=hvc0"
            """));
        _host.Must("create", config);
        HostUnderTest.Await("the login prompt", () => _host.ConsoleLog("deb").Contains(
            "inn login:", StringComparison.Ordinal));
        _host.MustFail("image", "rm", "deb");
        _host.Must("destroy", "deb");
        _host.Must("image", "rm", "deb");
        Assert.False(File.Exists(image));
    }
}

/// <summary>A test that takes minutes.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SlowFactAttribute : FactAttribute
{
    public SlowFactAttribute()
    {
        if (Environment.GetEnvironmentVariable("RYOKAN_SLOW_TESTS") != "1")
        {
            Skip = "takes minutes: set RYOKAN_SLOW_TESTS=1";
        }
    }
}
