using System;
using System.Collections.Generic;

using Ryokan.Api.Guests.Network;
using Xunit;

namespace Ryokan.Api.Tests;

/// <summary>The descriptions of network interfaces.</summary>
public sealed class VifSpecificationTests
{
    private static VifConfig Parse(string text) => VifSpecification.Parse(text, []);

    [Fact]
    public void KeysOfXlAreRead()
    {
        VifConfig vif = Parse(
            "mac=00:16:3E:A:bb:0c, bridge=xenbr1,vifname=web0,ip=10.0.0.5 fd00::5,rate=10Mb/s,mtu=9000,devid=3");
        Assert.Equal("00:16:3e:0a:bb:0c", vif.Mac);
        Assert.Equal(("xenbr1", "web0", VifKind.Bridge), (vif.Bridge, vif.InterfaceName, vif.Kind));
        Assert.Equal(["10.0.0.5", "fd00::5"], vif.Addresses);
        Assert.Equal((62_500, 50_000), (vif.RateBytes, vif.RateIntervalMicroseconds));
        Assert.Equal((9000, 3), (vif.Mtu, vif.DeviceId));
        Assert.Equal(VifKind.Automatic, Parse("").Kind);
    }

    [Theory]
    [InlineData("250KB/s", 12_500, 50_000)]
    [InlineData("1MB/s@20ms", 20_000, 20_000)]
    [InlineData("8Gb/s@1s", 1_000_000_000, 1_000_000)]
    [InlineData("800b/s@500us", 0, 0)]
    public void RatesAreCreditsPerInterval(string rate, long bytes, long interval)
    {
        if (bytes == 0)
        {
            Assert.Throws<FormatException>(() => Parse("rate=" + rate));
            return;
        }
        VifConfig vif = Parse("rate=" + rate);
        Assert.Equal((bytes, interval), (vif.RateBytes, vif.RateIntervalMicroseconds));
    }

    [Fact]
    public void ForwardsMakeItUserMode()
    {
        VifConfig vif = Parse("hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::5353-:53,hostfwd=tcp:[::1]:80-:8080");
        Assert.Equal(VifKind.User, vif.Kind);
        Assert.Equal(
            [new HostForward(false, "127.0.0.1", 2222, 22), new HostForward(true, null, 5353, 53),
                new HostForward(false, "::1", 80, 8080)], vif.Forwards);
    }

    [Theory]
    [InlineData("mac=00:16:3e", "mac: '00:16:3e' is not six pairs of hexadecimal digits with ':' between")]
    [InlineData("mac=01:16:3e:00:00:00", "mac: 01:16:3e:00:00:00 is no address of a single interface")]
    [InlineData("bridge=a/b", "bridge: 'a/b' is no name of a network device (1 to 15 characters)")]
    [InlineData("vifname=0123456789abcdef",
        "vifname: '0123456789abcdef' is no name of a network device (1 to 15 characters)")]
    [InlineData("ip=10.1", "ip: '10.1' is no IP address")]
    [InlineData("rate=10", "rate: '10' is not of the form 10Mb/s or 1MB/s@20ms, or too little to count")]
    [InlineData("mtu=10", "mtu: '10' is not a number from 68 to 65521")]
    [InlineData("hostfwd=tcp::22", "hostfwd: 'tcp::22' is not of the form tcp:[HOSTADDRESS]:HOSTPORT-:GUESTPORT")]
    [InlineData("hostfwd=tcp::99999-:22", "hostfwd: '99999' is not a number from 1 to 65535")]
    [InlineData("bridge=b,hostfwd=tcp::1-:2", "hostfwd: only a user-mode interface (type=user) forwards ports")]
    [InlineData("type=user,bridge=b", "bridge: an interface of type=user is on none")]
    [InlineData("brigde=b", "'brigde' is not a key of an interface; those are mac, bridge, vifname, ip, rate, mtu,"
        + " devid, type, hostfwd")]
    public void BadOnesAreNamed(string text, string expected) =>
        Assert.Equal(expected, Assert.Throws<FormatException>(() => Parse(text)).Message);

    [Fact]
    public void WhatHasNoEffectIsWarnedAbout()
    {
        List<string> warnings = [];
        VifSpecification.Parse("model=e1000,script=vif-bridge,type=ioemu,backend=0", warnings);
        Assert.Equal(3, warnings.Count);
    }

    [Fact]
    public void AddressesStayTheSame()
    {
        Guid uuid = Guid.Parse("0a2b8d8e-6a5e-4a55-9d55-1f7a0f0d4c11");
        string mac = VifConfig.MacFor(uuid, 0);
        Assert.Matches("^00:16:3e:[0-7][0-9a-f]:[0-9a-f]{2}:[0-9a-f]{2}$", mac);
        Assert.Equal(mac, VifConfig.MacFor(uuid, 0));
        Assert.NotEqual(mac, VifConfig.MacFor(uuid, 1));
        Assert.NotEqual(mac, VifConfig.MacFor(Guid.NewGuid(), 0));
    }

    /// <summary>Random text is read or refused in one line.</summary>
    [Fact]
    public void AnyTextIsReadOrRefused()
    {
        Random random = new(5);
        string[] words = ["mac", "=", ",", "bridge", "hostfwd", "tcp", ":", "-", "1", "rate", "Mb/s", "@", "ms", "[", "]",
            "ip", "10.0.0.1", " ", "é", "type", "user", "\n", "devid"];
        for (int i = 0; i < 100_000; i++)
        {
            string text = "";
            for (int n = random.Next(12); n > 0; n--)
            {
                text += words[random.Next(words.Length)];
            }
            try
            {
                Parse(text);
            }
            catch (FormatException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }
}
