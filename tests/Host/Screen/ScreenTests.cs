using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Ryokan.Host.Tests.Disks;
using Xunit;

namespace Ryokan.Host.Tests.Screen;

/// <summary>
/// The screen of a guest with stock drivers (xen-fbfront, xen-kbdfront), looked at and typed on by stock VNC viewers.
/// </summary>
public sealed class ScreenTests : IDisposable
{
    private const int Width = 800, Height = 600, CellWidth = 8, CellHeight = 16;

    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    /// <summary>Starts a guest with a screen and waits for its shell; the port of the screen.</summary>
    private (GuestShell Shell, int Port) Start(string name, string vfb)
    {
        _host.Must("create", "-q", _host.Config(name, "shell", $"kernel = '{HostUnderTest.ScreenKernel}'",
            $"ramdisk = '{HostUnderTest.GuestImage("screen")}'", $"vfb = ['{vfb}']"));
        Match where = Regex.Match(_host.Must("vncviewer", name), "^127\\.0\\.0\\.1:(\\d+) \\(display 127\\.0\\.0\\.1:(\\d+)(, with password)?\\)\n$");
        Assert.True(where.Success);
        int port = int.Parse(where.Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.Equal(port - 5900, int.Parse(where.Groups[2].Value, CultureInfo.InvariantCulture));
        return (new GuestShell(_host, name), port);
    }

    /// <summary>What tests/Guests/programs/screen.c paints.</summary>
    private static uint Pattern(int x, int y) => y switch
    {
        < 64 => 0x204060,
        < 128 => (x / 8 + y / 8) % 2 != 0 ? 0xffffffu : 0x000080u,
        < 192 => (uint)(x / 4 % 4 * 0x3f5511),
        < 256 => (uint)((x + y) % 16 * 0x0f1011),
        _ => (uint)((x & 255) << 16 | (y & 255) << 8 | ((x ^ y) & 255)),
    };

    /// <summary>A picture by gtk-vnc's own program.</summary>
    private Picture Capture(int port)
    {
        string path = _host.Write("picture.png", []);
        DiskImage.Run("gvnccapture", "-q", $"127.0.0.1:{port - 5900}", path);
        return Picture.ReadPng(path);
    }

    private static bool IsOpen(int port)
    {
        try
        {
            using TcpClient client = new();
            client.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    [ScreenFact("gvnccapture")]
    public void APictureIsWhatTheGuestDrew()
    {
        (GuestShell shell, int port) = Start("draw", "type=vnc,vncdisplay=300");
        using (shell)
        {
            shell.Must("printf '\\033[2J\\033[H\\033[?25lAABB  A' >/dev/tty1");
            MustShowText(Capture(port));
            foreach (string how in (string[])["paint", "paint map"])
            {
                shell.Must("dd if=/dev/zero of=/dev/fb0 bs=3200 count=600 2>/dev/null");
                Assert.Equal($"painted {Width}x{Height}", shell.Must("screen " + how));
                // Through a mapping the driver notices it a twentieth of a second later.
                string? difference = null;
                HostUnderTest.Await("the pattern",
                    () => (difference = Capture(port).DifferenceFrom(Pattern)) == null || how == "paint");
                Assert.Null(difference);
            }
            shell.Must("screen size 400 300");
            Assert.Equal("painted 400x300", shell.Must("screen paint"));
            Picture small = Capture(port);
            Assert.Equal((400, 300), (small.Width, small.Height));
            Assert.Null(small.DifferenceFrom(Pattern));
        }
        _host.Must("destroy", "draw");
        Assert.False(IsOpen(port));
        _host.AssertNothingLeft();
    }

    /// <summary>Cells with the same character look the same, others do not, and those without are black.</summary>
    private static void MustShowText(Picture picture)
    {
        Assert.Equal((Width, Height), (picture.Width, picture.Height));
        uint[] Cell(int column) => picture.Part(column * CellWidth, 0, CellWidth, CellHeight).Pixels;
        uint[] black = new uint[CellWidth * CellHeight];
        Assert.Equal(Cell(0), Cell(1));
        Assert.Equal(Cell(2), Cell(3));
        Assert.Equal(Cell(0), Cell(6));
        Assert.NotEqual(Cell(0), Cell(2));
        Assert.NotEqual(black, Cell(0));
        Assert.Equal(black, Cell(4));
        Assert.All(picture.Part(0, CellHeight, Width, Height - CellHeight).Pixels, p => Assert.Equal(0u, p));
    }

    [ScreenFact("Xvfb", "xtigervncviewer", "xdotool")]
    public void WhatIsTypedAndPointedArrives()
    {
        (GuestShell shell, int port) = Start("type", "type=vnc,vnclisten=127.0.0.1:310,vncpasswd=geheim99");
        using (shell)
        using (VirtualDisplay display = new())
        {
            Assert.Contains("Xen Virtual Keyboard", shell.Must("/jobs/prepare"), StringComparison.Ordinal);
            shell.Must("printf '\\033[?25l' >/dev/tty1; screen paint");
            display.View(port, "geheim99");
            string window = display.Window("type - TigerVNC");
            string? difference = null;
            HostUnderTest.Await("the pattern in the viewer",
                () => (difference = display.Show(window).DifferenceFrom(Pattern)) == null);
            Assert.Null(difference);

            // Not as jobs of the shell: busybox' ends with them when its terminal does not echo.
            shell.Must("(head -n 1 </dev/tty1 | sed 's/^/TYPED /' &)");
            display.Do("mousemove", "--window", window, "400", "300");
            display.Do("windowfocus", window);
            display.Do("type", "--delay", "60", "Hello, Xen! 42 {a|b}~\"");
            display.Do("key", "Return");
            _host.AwaitConsole("type", "TYPED Hello, Xen! 42 {a|b}~\"");

            shell.Must("(screen watch 60 &)");
            _host.AwaitConsole("type", "watching 2 devices");
            display.Do("mousemove", "--window", window, "123", "234");
            display.Do("click", "1");
            display.Do("click", "4");
            display.Do("key", "F5");
            foreach (string e in (string[])
                ["EVENT 3 0 123", "EVENT 3 1 234", "EVENT 1 272 1", "EVENT 1 272 0", "EVENT 2 8 1", "EVENT 1 63 1", "EVENT 1 63 0"])
            {
                _host.AwaitConsole("type", e);
            }
            MustNotTellThePassword("type", "geheim99");
        }
        // However its process ends, the port goes with it.
        using (Process process = Process.GetProcessById(_host.DomainProcesses().Max()))
        {
            process.Kill();
            process.WaitForExit();
        }
        HostUnderTest.Await("the end of the domain", () => _host.List().Count == 0);
        Assert.False(IsOpen(port));
    }

    /// <summary>A guest with a German keyboard, and a viewer that says what a key means and not where it is.</summary>
    [KeymapFact]
    public void KeysymsBecomeTheKeysOfTheGuestsKeyboard()
    {
        (GuestShell shell, int port) = Start("german", "keymap=de");
        using (shell)
        using (TcpClient viewer = new(IPAddress.Loopback.ToString(), port))
        {
            shell.Must("/jobs/prepare; (screen watch 60 &)");
            _host.AwaitConsole("german", "watching 2 devices");
            NetworkStream stream = viewer.GetStream();
            stream.ReadExactly(new byte[12]);
            stream.Write("RFB 003.003\n"u8);
            stream.ReadExactly(new byte[4]);
            stream.WriteByte(1);
            foreach (char c in "z@ß")
            {
                stream.Write([4, 1, 0, 0, 0, 0, 0, (byte)c, 4, 0, 0, 0, 0, 0, 0, (byte)c]);
            }
            _host.AwaitConsole("german", "EVENT 1 12 0");
            Assert.Equal(["21 1", "21 0", "100 1", "16 1", "100 0", "16 0", "12 1", "12 0"],
                Regex.Matches(_host.ConsoleLog("german"), "EVENT 1 (\\d+ \\d)").Select(m => m.Groups[1].Value));
        }
        _host.Must("destroy", "german");
    }

    private void MustNotTellThePassword(string name, string password)
    {
        Assert.DoesNotContain(password, _host.Must("list", "-l", name), StringComparison.Ordinal);
        Assert.DoesNotContain(password, _host.Must("dmesg"), StringComparison.Ordinal);
        foreach (string file in Directory.EnumerateFiles(_host.State, "*", SearchOption.AllDirectories))
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using StreamReader reader = new(stream);
            Assert.DoesNotContain(password, reader.ReadToEnd(), StringComparison.Ordinal);
        }
        string specification = Directory.EnumerateFiles(_host.Runtime, "spec.json", SearchOption.AllDirectories).Single();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(specification));
    }

    /// <summary>Descriptions that cannot be, and ports that are taken, are one line; nothing is left.</summary>
    [Fact]
    public void BadScreensAreRefused()
    {
        string good = _host.Config("good", "stay");
        Assert.Equal("command line:1: vfb: vncdisplay: 'x' is not a display from 0 to 59635",
            _host.MustFail("create", good, "vfb=['vncdisplay=x']"));
        Assert.Equal("command line:1: vfb: a guest has one screen", _host.MustFail("create", good, "vfb=['','']"));
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        int port = ((IPEndPoint)taken.LocalEndpoint).Port;
        Assert.Equal($"{good}: vfb: 127.0.0.1:{port}: in use",
            _host.MustFail("create", good, $"vfb=['vncunused=0,vncdisplay={port - 5900},vncpasswd=geheim']"));
        Assert.Equal($"{good}: vfb: 192.0.2.1:5900: not an address of this host",
            _host.MustFail("create", good, "vfb=['vnclisten=192.0.2.1']"));
        _host.AssertNothingLeft();
        _host.Must("create", good);
        Assert.StartsWith("vncviewer: domain 'good' shows no screen", _host.MustFail("vncviewer", "good"),
            StringComparison.Ordinal);
    }

    /// <summary>A kernel without a keyboard driver shows its screen all the same, and starts as quickly.</summary>
    [ScreenFact("gvnccapture")]
    public void TheCloudKernelShowsItsScreen()
    {
        string config = _host.Config("cloud", "stay", "vnc = 1", "vncdisplay = 320", "extra = 'console=tty0 console=hvc0 mode=stay'");
        Assert.Matches("^127\\.0\\.0\\.1:\\d+ ", _host.Must("create", "-q", "-V", "--vncviewer-autopass", config));
        _host.AwaitConsole("cloud", "user space is up");
        int port = int.Parse(Regex.Match(_host.Must("vncviewer", "--autopass", "cloud"), ":(\\d+) ").Groups[1].Value);
        Picture picture = Capture(port);
        Assert.Equal((Width, Height), (picture.Width, picture.Height));
        // Kernel messages, in the console's grey.
        Assert.True(picture.Pixels.Count(p => p == 0xaaaaaa) > 1000);
        _host.Must("destroy", "cloud");
        Assert.False(IsOpen(port));
    }
}
