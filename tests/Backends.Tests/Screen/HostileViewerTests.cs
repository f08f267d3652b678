using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Drawing;
using System.IO;
using System.Linq;
using Ryokan.Backends.Screen.Rfb;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>Viewers that break the protocol or do not listen: they are put out, and nobody else notices.</summary>
public sealed class HostileViewerTests
{
    private static void StillServes(RfbServer server)
    {
        using RfbClient client = new RfbClient(server.Port).Open();
        client.Update(incremental: false);
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\n")]
    [InlineData("RFB 004.000\n")]
    [InlineData("RFB 003.008X")]
    public void WhoSpeaksSomethingElse(string greeting)
    {
        using ScreenFront front = new();
        using RfbServer server = RfbServerTests.Serve(front);
        using RfbClient client = new(server.Port);
        client.Read(12);
        client.Write(System.Text.Encoding.ASCII.GetBytes(greeting));
        Assert.True(client.IsPutOut());
        StillServes(server);
    }

    public static TheoryData<byte[]> BadMessages => new()
    {
        new byte[] { 1 },
        new byte[] { 7 },
        new byte[] { 150, 1, 0, 0, 0, 0, 0, 9, 0, 9 },
        new byte[] { 255, 1, 0, 0 },
        // Formats: no true colour, 24 bits, shifts that leave the pixel.
        new byte[] { 0, 0, 0, 0, 8, 8, 0, 0, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0 },
        new byte[] { 0, 0, 0, 0, 24, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0 },
        new byte[] { 0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 255, 8, 0, 0, 0, 0 },
        // 65535 encodings, a clipboard of 4 GB.
        new byte[] { 2, 0, 255, 255 },
        new byte[] { 6, 0, 0, 0, 255, 255, 255, 255 },
    };

    [Theory]
    [MemberData(nameof(BadMessages))]
    public void MessagesThatMakeNoSense(byte[] message)
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        using RfbServer server = RfbServerTests.Serve(front);
        using RfbClient client = new RfbClient(server.Port).Open();
        client.Write(message);
        Assert.True(client.IsPutOut());
        StillServes(server);
    }

    [Fact]
    public void PlacesAndAreasOutsideTheScreen()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.ConnectKeyboard("request-abs-pointer=1");
        using RfbServer server = RfbServerTests.Serve(front);
        using RfbClient client = new RfbClient(server.Port).Open();
        client.Pointer(255, 65535, 65535);
        client.Write(3, 0, 255, 255, 255, 255, 255, 255, 255, 255);
        client.Update(incremental: false);
        Assert.Equal(ScreenFront.Width * ScreenFront.Height, client.Pixels.Length);
    }

    /// <summary>It asks for everything all the time and reads nothing: guest and other viewers go on.</summary>
    [Fact]
    public void AViewerThatDoesNotRead()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        using RfbServer server = RfbServerTests.Serve(front);
        using RfbClient deaf = new RfbClient(server.Port).Open();
        for (int i = 0; i < 2000; i++)
        {
            deaf.Ask(incremental: false);
        }
        using RfbClient client = new RfbClient(server.Port).Open();
        client.Update(incremental: false);
        Stopwatch watch = Stopwatch.StartNew();
        for (int i = 0; i < 50; i++)
        {
            front.ReportUpdate(new Rectangle(i, i, 10, 10));
            client.Update(incremental: true);
        }
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"50 updates took {watch.Elapsed}");
        watch.Restart();
        server.Dispose();
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"it took {watch.Elapsed} to put it out");
    }

    /// <summary>Connections that say nothing do not keep others out.</summary>
    [Fact]
    public void ConnectionsThatSayNothing()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        using RfbServer server = RfbServerTests.Serve(front);
        List<RfbClient> silent = [.. Enumerable.Range(0, 40).Select(_ => new RfbClient(server.Port))];
        ModelGuest.WaitFor(() =>
        {
            try
            {
                StillServes(server);
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }, () => "silent connections keep a viewer out");
        silent.ForEach(c => c.Dispose());
    }

    [Fact]
    public void AnyBytes()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.ConnectKeyboard();
        using RfbServer server = RfbServerTests.Serve(front);
        Random random = new(3);
        for (int round = 0; round < 150; round++)
        {
            using RfbClient client = new(server.Port);
            byte[] noise = new byte[random.Next(400)];
            random.NextBytes(noise);
            try
            {
                if (round % 3 != 0)
                {
                    client.Open();
                    for (int i = 0; i < noise.Length; i += 20)
                    {
                        noise[i] = (byte)random.Next(7);
                    }
                }
                client.Write(noise);
            }
            catch (IOException)
            {
                // Put out already.
            }
        }
        ModelGuest.WaitFor(() => !front.Surface.HasViewers, () => "viewers that have gone are still there");
        StillServes(server);
    }
}
