using System;
using System.Diagnostics;
using System.IO;
using Xunit;

namespace Ryokan.Host.Tests.Debian;

/// <summary>A root disk built by xm image build, booted from by its own kernel and used as a machine is.</summary>
[Collection(DebianCollection.Name)]
public sealed class DebianImageTests(DebianImage image) : IDisposable
{
    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    [SlowFact]
    public void OneLogsInThroughAForwardedPortAndInstallsPackages()
    {
        int port = UserNetworkTests.FreePort();
        DebianGuest guest = new(_host, image, "user", image.Disk(_host, "qcow2") + ",qcow2",
            $"type=user,hostfwd=tcp:127.0.0.1:{port}-:22", "127.0.0.1", port);
        Assert.Equal(DebianImage.HostName + "\n", guest.Must("hostname"));
        image.AssertInUse();
        HostUnderTest.Await("the login prompt", () => _host.ConsoleLog("user").Contains(
            DebianImage.HostName + " login:", StringComparison.Ordinal));
        Assert.Equal("running\n", guest.Must("systemctl is-system-running --wait"));

        // More than any window holds, both ways.
        string sum = guest.Must("head -c 6000000 /dev/urandom | base64 > f; sha256sum < f");
        guest.Must("cat > g", guest.Must("cat f"));
        Assert.Equal(sum, guest.Must("sha256sum < g"));

        // From the archive that built the image.
        Assert.Equal("", guest.Try("apt-get -qq update").Errors);
        guest.Must("DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends jq");
        Assert.Equal("[1,2]\n", guest.Must("echo '{\"a\": [1, 2]}' | jq -c .a"));
        Assert.Equal("", guest.Must("dpkg --audit"));
        _host.Must("shutdown", "-w", "user");
    }

    [SlowRootFact]
    public void OneLogsInOverABridge()
    {
        using BridgedNamespace network = new();
        using HostUnderTest host = new() { NetworkNamespace = network.Name };
        const string Address = "10.77.0.9";
        string busybox = Path.Combine(Path.GetDirectoryName(HostUnderTest.Initramfs)!, "busybox/bin/busybox");
        string leases = host.Write("leases", []);
        string settings = host.Write("udhcpd.conf", System.Text.Encoding.ASCII.GetBytes($"""
            interface xenbr0
            start {Address}
            end {Address}
            lease_file {leases}
            pidfile {leases}.pid
            option subnet 255.255.255.0
            option router {BridgedNamespace.Address}

            """));
        using Process server = host.StartProgram(busybox, "udhcpd", "-f", settings);
        try
        {
            DebianGuest guest = new(host, image, "bridged", image.Disk(host, "qcow2") + ",qcow2",
                "bridge=xenbr0", Address);
            Assert.Equal(DebianImage.HostName + "\n", guest.Must("hostname"));
            Assert.Contains($"inet {Address}/24", guest.Must("ip -4 addr"), StringComparison.Ordinal);
            guest.Must($"ping -c 3 {BridgedNamespace.Address}");
            host.Must("shutdown", "-w", "bridged");
        }
        finally
        {
            server.Kill();
            server.WaitForExit();
        }
    }
}
