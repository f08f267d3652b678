using System;
using System.Collections.Generic;
using System.Linq;
using Ryokan.Api.Guests;
using Ryokan.Api.Guests.Screen;
using Xunit;

namespace Ryokan.Api.Tests;

/// <summary>The descriptions of screens: the list vfb, and the loose keys that stand for it.</summary>
public sealed class VfbSpecificationTests
{
    private const string Secret = "g3h31m";

    private static VfbConfig Parse(string text) => VfbSpecification.Parse(text, []);

    private static GuestConfig Read(string lines, out IReadOnlyList<string> warnings) => GuestConfigReader.Read(
        $"name='g'\nkernel='/proc/self/exe'\n{lines}", "g.cfg", "/", [], out warnings);

    [Fact]
    public void KeysOfXlAreRead()
    {
        VfbConfig vfb = Parse($"type=vnc,vnclisten=127.0.0.2,vncdisplay=7, vncunused=0,vncpasswd={Secret},keymap=en-us,sdl=0");
        Assert.Equal((true, "127.0.0.2", 7, false, Secret),
            (vfb.Vnc, vfb.Address, vfb.Display, vfb.FindUnused, vfb.Password));
        VfbConfig empty = Parse("");
        Assert.Equal((true, "127.0.0.1", 0, true, null),
            (empty.Vnc, empty.Address, empty.Display, empty.FindUnused, empty.Password));
        Assert.False(Parse("vnc=0").Vnc);
        Assert.Null(Parse("vncpasswd=").Password);
        Assert.Equal("a=b c", Parse("vncpasswd=a=b c").Password);
    }

    [Theory]
    [InlineData("0.0.0.0:5", "0.0.0.0", 5)]
    [InlineData("localhost:12", "127.0.0.1", 12)]
    [InlineData("::1", "::1", 0)]
    [InlineData("[::1]:3", "::1", 3)]
    [InlineData("[fe80::2]", "fe80::2", 0)]
    public void AnAddressMayCarryADisplay(string text, string address, int display)
    {
        VfbConfig vfb = Parse("vnclisten=" + text);
        Assert.Equal((address, display), (vfb.Address, vfb.Display));
    }

    [Theory]
    [InlineData("vnc=yes", "vnc: 'yes' is not 0 or 1")]
    [InlineData("vncdisplay=-1", "vncdisplay: '-1' is not a display from 0 to 59635")]
    [InlineData("vncdisplay=59636", "vncdisplay: '59636' is not a display from 0 to 59635")]
    [InlineData("vnclisten=here", "vnclisten: 'here' is no IP address")]
    [InlineData("vnclisten=10.1", "vnclisten: '10.1' is no IP address")]
    [InlineData("vnclisten=", "vnclisten: '' is no IP address")]
    [InlineData("vnclisten=127.0.0.1:x", "vnclisten: 'x' is not a display from 0 to 59635")]
    [InlineData("vnclisten=127.0.0.1:1,vncdisplay=2", "vncdisplay: vnclisten says a display already; drop one")]
    [InlineData("type=sdl", "type: 'sdl' is not served; 'vnc' is")]
    [InlineData("vncpaswd=" + Secret,
        "'vncpaswd' is not a key of a screen; those are vnc, vnclisten, vncdisplay, vncunused, vncpasswd, keymap")]
    [InlineData("vncpasswd:" + Secret,
        "a part is not of the form KEY=VALUE; the keys are vnc, vnclisten, vncdisplay, vncunused, vncpasswd, keymap")]
    public void BadOnesAreNamed(string text, string expected) =>
        Assert.Equal(expected, Assert.Throws<FormatException>(() => Parse(text)).Message);

    [Fact]
    public void WhatHasNoEffectOrSurprisesIsWarnedAbout()
    {
        List<string> warnings = [];
        VfbSpecification.Parse("sdl=1,opengl=1,display=:0,xauthority=/x,keymap=dx,vncpasswd=123456789", warnings);
        Assert.Equal(["sdl", "opengl", "display", "xauthority", "keymap", "vncpasswd"],
            warnings.Select(w => w.Split(':')[0]));
        Assert.StartsWith("keymap: 'dx' is not known: what viewers type is taken for 'en-us'; known are ar bepo ", warnings[4],
            StringComparison.Ordinal);
        Assert.DoesNotContain(warnings, w => w.Contains("123456789", StringComparison.Ordinal));
        warnings.Clear();
        Assert.Equal("de", VfbSpecification.Parse("keymap=de", warnings).Keymap);
        Assert.Equal("en-us", VfbSpecification.Parse("keymap=", warnings).Keymap);
        Assert.Empty(warnings);
        VfbSpecification.Parse("vnclisten=0.0.0.0", warnings);
        Assert.StartsWith("vncpasswd: not set: everybody who reaches 0.0.0.0", Assert.Single(warnings),
            StringComparison.Ordinal);
    }

    /// <summary>As xl does it for guests that are not hvm.</summary>
    [Fact]
    public void LooseKeysStandForAScreen()
    {
        VfbConfig? vfb = Read($"vnc=1\nvnclisten='127.0.0.1'\nvncdisplay=4\nvncpasswd='{Secret}'", out var warnings).Screen;
        Assert.Equal((4, Secret), (vfb!.Display, vfb.Password));
        Assert.Empty(warnings);
        Assert.Null(Read("vnc=0", out warnings).Screen);
        Assert.Null(Read("vncdisplay=4", out warnings).Screen);
        Assert.Equal(["g.cfg:3: vncdisplay: has no effect without vfb or vnc=1; ignored"], warnings);
        Assert.Equal(9, Read("vnc=1\nvncdisplay=4\nvfb=['vncdisplay=9']", out warnings).Screen!.Display);
        Assert.Equal(["g.cfg:3: vnc: does not count beside vfb, which says it all; ignored",
            "g.cfg:4: vncdisplay: does not count beside vfb, which says it all; ignored"], warnings);
    }

    [Fact]
    public void ThePasswordIsInNoMessage()
    {
        string message = Assert.Throws<GuestConfigException>(
            () => Read($"vfb=['vncpasswd={Secret},vncdisplay=x']", out _)).Message;
        Assert.Equal("g.cfg:3: vfb: vncdisplay: 'x' is not a display from 0 to 59635", message);
        GuestConfig config = Read($"vfb=['vncpasswd={Secret}']", out _);
        Assert.DoesNotContain(Secret, config.ToString(), StringComparison.Ordinal);
    }
}
