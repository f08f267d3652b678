using System;
using System.Drawing;
using System.Linq;
using System.Net;
using System.Text;
using Ryokan.Backends.Screen;
using Ryokan.Backends.Screen.Rfb;
using Ryokan.Linux.Interop.Network;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>The guest's screen through VNC: what viewers see and what their keys do.</summary>
public sealed class RfbServerTests
{
    private const int FirstDisplay = 3000;

    internal static RfbServer Serve(ScreenFront front, string? password = null, int display = FirstDisplay,
        bool findUnused = true) => new(new RfbServerOptions
        {
            Name = "Gästchen", Surface = front.Surface, Input = front.Input, Address = IPAddress.Loopback,
            Display = display, FindUnused = findUnused, Password = password,
        });

    /// <summary>Tiles of one, few and many colours.</summary>
    private static uint Pattern(int x, int y) => x < 64 ? 0x102030u : x < 128 ? (x + y) % 3 == 0 ? 0xffffffu : 0x00ff00u
        : y < 64 ? (uint)(x % 7 * 0x111111) : (uint)(x << 16 | y << 8 | (x ^ y));

    private static void Paint(ScreenFront front)
    {
        for (int y = 0; y < ScreenFront.Height; y++)
        {
            for (int x = 0; x < ScreenFront.Width; x++)
            {
                front.SetPixel(x, y, Pattern(x, y));
            }
        }
    }

    private static void MustShowPattern(RfbClient client) => Assert.Equal(
        Enumerable.Range(0, ScreenFront.Width * ScreenFront.Height)
            .Select(i => Pattern(i % ScreenFront.Width, i / ScreenFront.Width)), client.Pixels);

    [Theory]
    [InlineData("003.003", 0)]
    [InlineData("003.007", 0)]
    [InlineData("003.008", 0)]
    [InlineData("003.008", 16)]
    [InlineData("003.889", 16)]
    public void ThePictureArrivesPixelForPixel(string version, int encoding)
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Paint(front);
        using RfbServer server = Serve(front);
        using RfbClient client = new(server.Port);
        if (version == "003.889")
        {
            client.Greet(version);
            Assert.Equal(1, client.Number(4));
            client.Initialise();
        }
        else
        {
            client.Open(version);
        }
        Assert.Equal("Gästchen", client.Name);
        client.SetEncodings(encoding);
        client.Update(incremental: false);
        MustShowPattern(client);
        Assert.All(client.Seen, e => Assert.Equal(encoding, e));
    }

    [Fact]
    public void OnlyWhatChangedIsSent()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Paint(front);
        using RfbServer server = Serve(front);
        using RfbClient client = new RfbClient(server.Port).Open();
        client.SetEncodings(16);
        client.Update(incremental: false);
        for (int i = 0; i < 20; i++)
        {
            front.SetPixel(150, i * 5, 0xabcdef);
            front.ReportUpdate(new Rectangle(150, i * 5, 1, 1));
            Assert.Equal(1, client.Update(incremental: true));
            Assert.Equal(0xabcdefu, client.Pixels[i * 5 * ScreenFront.Width + 150]);
        }
    }

    [Fact]
    public void SeveralViewersSeeTheSame()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Paint(front);
        using RfbServer server = Serve(front);
        RfbClient[] clients = [.. Enumerable.Range(0, 5).Select(_ => new RfbClient(server.Port).Open())];
        foreach (RfbClient client in clients)
        {
            client.Update(incremental: false);
            MustShowPattern(client);
        }
        front.SetPixel(5, 5, 0x999999);
        front.ReportUpdate(new Rectangle(5, 5, 1, 1));
        foreach (RfbClient client in clients)
        {
            client.Update(incremental: true);
            Assert.Equal(0x999999u, client.Pixels[5 * ScreenFront.Width + 5]);
            client.Dispose();
        }
        ModelGuest.WaitFor(() => !front.Surface.HasViewers, () => "viewers that have gone are still there");
    }

    [Fact]
    public void AViewerFollowsTheSizeIfItCan()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Paint(front);
        using RfbServer server = Serve(front);
        using RfbClient able = new RfbClient(server.Port).Open(), unable = new RfbClient(server.Port).Open();
        able.SetEncodings(16, -223);
        able.Update(incremental: false);
        unable.Update(incremental: false);
        front.ReportResize(120, 60, ScreenFront.Stride, 32, 0);
        ModelGuest.WaitFor(() => front.Surface.Size.Width == 120, () => "no resize");
        while (able.Width != 120)
        {
            able.Update(incremental: true);
        }
        Assert.Equal((120, 60), (able.Width, able.Height));
        Assert.Equal(Pattern(119, 59), able.Pixels[59 * 120 + 119]);
        while (unable.Pixels[199] != 0)
        {
            unable.Update(incremental: true);
        }
        Assert.Equal(Pattern(119, 59), unable.Pixels[59 * ScreenFront.Width + 119]);
        Assert.Equal(0u, unable.Pixels[60 * ScreenFront.Width]);
    }

    [Fact]
    public void OtherPixelFormatsAreServed()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.SetPixel(0, 0, 0x00ff8040);
        using RfbServer server = Serve(front);
        using RfbClient client = new RfbClient(server.Port).Open();
        // 16 bits, big endian, 5:6:5.
        client.Write(0, 0, 0, 0, 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0);
        client.Ask(incremental: false);
        client.Read(2);
        client.Read(2);
        client.Read(12);
        Assert.Equal(31 << 11 | 32 << 5 | 8, client.Number(2));
    }

    [Theory]
    [InlineData("geheim", "geheim", true)]
    [InlineData("geheim", "geheIm", false)]
    [InlineData("12345678", "12345678", true)]
    [InlineData("123456789", "12345678x", true)]
    [InlineData("geheim", "", false)]
    public void ThePasswordIsAskedFor(string password, string tried, bool letIn)
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        using RfbServer server = Serve(front, password);
        using RfbClient client = new(server.Port);
        client.Greet();
        Assert.Equal([1, 2], client.Read(2));
        client.Write(2);
        client.Write(VncAuthentication.Respond(client.Read(16), tried));
        Assert.Equal(letIn ? 0 : 1, client.Number(4));
        if (letIn)
        {
            client.Initialise();
            return;
        }
        Assert.Equal("wrong password", Encoding.ASCII.GetString(client.Read(client.Number(4))));
        Assert.True(client.IsPutOut());
    }

    [Fact]
    public void NobodyGetsInWithoutThePassword()
    {
        using ScreenFront front = new();
        using RfbServer server = Serve(front, "geheim");
        using RfbClient client = new(server.Port);
        client.Greet();
        Assert.Equal([1, 2], client.Read(2));
        client.Write(1);
        client.Write(1);
        Assert.True(client.IsPutOut());
    }

    /// <summary>The standard's arithmetic, by the vectors that NBS 500-20 and others have been using.</summary>
    [Theory]
    [InlineData("133457799BBCDFF1", "0123456789ABCDEF", "85E813540F0AB405")]
    [InlineData("0000000000000000", "0000000000000000", "8CA64DE9C1B123A7")]
    [InlineData("0123456789ABCDEF", "1111111111111111", "17668DFC7292532D")]
    [InlineData("7CA110454A1A6E57", "01A1D6D039776742", "690F5B0D9A26939B")]
    [InlineData("0131D9619DC1376E", "5CD54CA83DEF57DA", "7A389D10354BD271")]
    [InlineData("FEDCBA9876543210", "0123456789ABCDEF", "ED39D950FA74BCC4")]
    public void DataEncryptionStandardKnowsItsVectors(string key, string text, string cipher)
    {
        byte[] block = Convert.FromHexString(text);
        DataEncryptionStandard.Encrypt(Convert.FromHexString(key), block);
        Assert.Equal(cipher, Convert.ToHexString(block));
    }

    [Fact]
    public void KeysOfViewersReachTheGuest()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.ConnectKeyboard("request-abs-pointer=1");
        using RfbServer server = Serve(front);
        using RfbClient client = new RfbClient(server.Port).Open();
        client.Key('a', true);
        client.Key('a', false);
        Assert.Equal((30, true), Next(front));
        Assert.Equal((30, false), Next(front));
        // A capital without Shift, as programs send it.
        client.Key('A', true);
        client.Key('A', false);
        Assert.Equal([(42, true), (30, true), (42, false), (30, false)], Next(front, 4));
        // With Shift held, and a character that another keyboard makes with it.
        client.Key(0xffe2, true);
        client.Key('/', true);
        client.Key('/', false);
        client.Key(0xffe2, false);
        Assert.Equal([(54, true), (54, false), (53, true), (54, true), (53, false), (54, false)], Next(front, 6));
        client.Key(0xffe3, true);
        client.Key(0xffc9, true);
        client.Dispose();
        Assert.Equal([(29, true), (88, true)], Next(front, 2));
        // The viewer has gone: what it held goes up.
        Assert.Equal([(29, false), (88, false)], Next(front, 2).Order());
    }

    private static (int Key, bool Down)[] Next(ScreenFront front, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => Next(front))];

    private static (int Key, bool Down) Next(ScreenFront front)
    {
        XenkbdKey key = front.NextKey();
        return ((int)key.Keycode, key.Pressed != 0);
    }

    [Fact]
    public void ScanCodesAreTakenFromViewersThatWereTold()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.ConnectKeyboard();
        using RfbServer server = Serve(front);
        using RfbClient client = new RfbClient(server.Port).Open();
        client.SetEncodings(0, -258);
        client.Update(incremental: false);
        Assert.Contains(-258, client.Seen);
        // The key left of 1 on a French keyboard, right Control, and one that has no code.
        client.Write(255, 0, 0, 1, 0, 0, 0, 0xb2, 0, 0, 0, 0x29);
        client.Write(255, 0, 0, 1, 0, 0, 0xff, 0xe4, 0, 0, 0, 0x9d);
        client.Write(255, 0, 0, 1, 0, 0, 0, (byte)'q', 0, 0, 0, 0);
        Assert.Equal([(41, true), (97, true), (16, true)], Next(front, 3));
    }

    [Fact]
    public void TheNextFreeDisplayIsTakenAndGivenBack()
    {
        using ScreenFront front = new();
        using RfbServer first = Serve(front, display: 3200);
        using (RfbServer second = Serve(front, display: first.Display))
        {
            Assert.True(second.Display > first.Display);
        }
        string message = Assert.Throws<HostNetworkException>(
            () => Serve(front, display: first.Display, findUnused: false)).Message;
        Assert.Equal($"127.0.0.1:{first.Port}: in use", message);
        int display = first.Display;
        RfbClient client = new RfbClient(first.Port).Open();
        first.Dispose();
        Assert.True(client.IsPutOut());
        Serve(front, display: display, findUnused: false).Dispose();
    }
}
