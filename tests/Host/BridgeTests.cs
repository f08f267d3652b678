using System;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>Guests on a bridge, in a network namespace of the test's own.</summary>
public sealed class BridgeTests : IDisposable
{
    private readonly BridgedNamespace? _network;
    private readonly HostUnderTest _host;

    public BridgeTests()
    {
        _network = Environment.IsPrivilegedProcess ? new BridgedNamespace() : null;
        _host = new HostUnderTest { NetworkNamespace = _network?.Name };
    }

    public void Dispose()
    {
        _host.Dispose();
        _network?.Dispose();
    }

    private GuestShell Create(string name, string address, string vif, int vcpus = 1)
    {
        _host.Must("create", "-q", _host.Config(name, "shell",
            $"ramdisk = '{HostUnderTest.GuestImage("network")}'", $"vcpus = {vcpus}", $"vif = ['{vif}']"));
        GuestShell shell = new(_host, name);
        shell.Must($"ip link set lo up; ip link set eth0 up; ip addr add {address}/24 dev eth0");
        return shell;
    }

    /// <summary>Mbit/s that the receiver of an iperf3 run saw.</summary>
    private static double Rate(string output) => double.Parse(
        Regex.Match(output, @"([\d.]+) Mbits/sec +receiver").Groups[1].Value, CultureInfo.InvariantCulture);

    [RootFact]
    public void TwoGuestsReachEachOtherAndTheHost()
    {
        using GuestShell one = Create("one", "10.77.0.2", "", vcpus: 2);
        using GuestShell two = Create("two", "10.77.0.3", "bridge=xenbr0,vifname=second");
        Assert.Equal(["second", "vif1.0"], _network!.Ports().Order());
        one.Must($"ping -c 3 {BridgedNamespace.Address}");
        one.Must("ping -c 3 10.77.0.3");
        one.Must("iperf3 -s -D");
        foreach (string direction in (string[])["", "-R"])
        {
            string output = two.Must($"iperf3 -c 10.77.0.2 -n 200M -f m {direction}");
            Assert.True(Rate(output) > 50, output);
        }
        two.Must("ping -c 2 -s 20000 10.77.0.2");
        // Every byte, through checksums and segments of both guests: IPv4 and IPv6.
        one.Must("dd if=/dev/urandom of=/tmp/f bs=1M count=16; httpd -p 80 -h /tmp");
        string sum = one.Must("sha256sum /tmp/f").Split(' ')[0];
        Assert.StartsWith(sum, two.Must("wget -q -O - http://10.77.0.2/f | sha256sum"), StringComparison.Ordinal);
        one.Must("echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip -6 addr add fd77::2/64 dev eth0");
        two.Must("echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip -6 addr add fd77::3/64 dev eth0");
        Assert.StartsWith(sum, two.Must("wget -q -O - http://[fd77::2]/f | sha256sum"), StringComparison.Ordinal);
        _host.Must("destroy", "one");
        _host.Must("destroy", "two");
        Assert.Empty(_network.Ports());
        _host.AssertNothingLeft();
    }

    [RootFact]
    public void AGuestIsKeptToItsAddress()
    {
        using GuestShell shell = Create("kept", "10.77.0.5", "ip=10.77.0.5,rate=80Mb/s");
        shell.Must("ping -c 2 10.77.0.1");
        shell.Must("ip addr add 10.77.0.6/24 dev eth0");
        Assert.NotEqual(0, shell.Run("ping -c 2 -W 1 -I 10.77.0.6 10.77.0.1").Status);
        shell.Must("ip link set eth0 down; ip link set eth0 address 00:16:3e:77:77:77; ip link set eth0 up");
        Assert.NotEqual(0, shell.Run("ping -c 2 -W 1 10.77.0.1").Status);
        string counters = _host.Must("network-list", "-l", "kept");
        Assert.Contains("vif1.0 on bridge xenbr0, kept to 10.77.0.5", counters, StringComparison.Ordinal);
        Assert.Matches(@"sent \d+ frames, \d+ bytes, [1-9]\d* dropped", counters);
    }

    [RootFact]
    public void InterfacesComeAndGo()
    {
        using GuestShell shell = Create("plug", "10.77.0.7", "mac=00:16:3e:00:00:07");
        _host.Must("network-attach", "plug", "bridge=xenbr0", "mac=00:16:3e:00:00:08");
        shell.Must("until [ -e /sys/class/net/eth1 ]; do sleep 0.1; done");
        shell.Must("ip link set eth0 down; ip link set eth1 up");
        shell.Must("ip addr add 10.77.0.8/24 dev eth1; ping -c 2 -I eth1 10.77.0.1");
        Assert.Equal(2, _network!.Ports().Length);
        Assert.Equal("vif 2: the guest has an interface with the address 00:16:3e:00:00:08 already",
            _host.MustFail("network-attach", "plug", "mac=00:16:3e:00:00:08"));
        _host.Must("network-detach", "plug", "00:16:3e:00:00:08");
        shell.Must("[ ! -e /sys/class/net/eth1 ]");
        Assert.Single(_network.Ports());
        _host.Must("network-detach", "plug", "0");
        Assert.Empty(_network.Ports());
        Assert.Equal("the guest has no interface '0'", _host.MustFail("network-detach", "plug", "0"));
        Assert.Equal(2, _host.Must("network-list", "plug").Split('\n').Length);
    }
}
