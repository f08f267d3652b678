using System;
using System.Drawing;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Backends.Screen;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>
/// Front ends that break the protocol: they are disconnected, and nothing else happens.
/// </summary>
public sealed class HostileScreenTests
{
    [Theory]
    [InlineData("page-ref=99999999", "frame 5f5e0ff is not the domain's")]
    [InlineData("page-ref=134217728", "frame 8000000 is not the domain's")]
    [InlineData("page-ref=18446744073709551615", "is not the domain's")]
    [InlineData("page-ref=-1", "not a frame number")]
    [InlineData("event-channel=4000", "cannot be bound")]
    [InlineData("protocol=sparc", "protocol 'sparc' is not known")]
    [InlineData("feature-update=x", "not a number")]
    public void NodesThatMakeNoSense(string node, string reason)
    {
        using ScreenFront front = new();
        front.Prepare();
        front.PublishFramebuffer(node);
        front.MustBeDisconnected("vfb", reason);
    }

    [Theory]
    [InlineData(0, 100, 800, 80000, 32, "a screen of 0x100 pixels")]
    [InlineData(-5, 100, 800, 80000, 32, "a screen of -5x100 pixels")]
    [InlineData(200, int.MaxValue, 800, 80000, 32, "pixels; 1 to 8192")]
    [InlineData(200, 8192, 0xffffffff, 80000, 32, "do not lie in")]
    [InlineData(200, 8192, 0x7fffffff, 80000, 32, "do not lie in")]
    [InlineData(200, 100, 799, 80000, 32, "do not lie in")]
    [InlineData(200, 100, 800, 79999, 32, "do not lie in")]
    [InlineData(200, 100, 800, 0, 32, "do not lie in")]
    [InlineData(200, 100, 800, 0xffffffff, 32, "up to 67108864 are served")]
    [InlineData(200, 100, 800, 80000, 8, "pixels of 8 bits")]
    [InlineData(200, 100, 800, 80000, 255, "pixels of 255 bits")]
    [InlineData(200, 100, 800, 67108864, 32, "is not the domain's")]
    public void ModesThatMakeNoSense(int width, int height, uint stride, uint memory, byte depth, string reason)
    {
        using ScreenFront front = new();
        front.Prepare();
        front.Shared.Width = width;
        front.Shared.Height = height;
        front.Shared.LineLength = stride;
        front.Shared.MemLength = memory;
        front.Shared.Depth = depth;
        // What lies behind the first directory points nowhere.
        front.Shared.Pd[1] = ulong.MaxValue;
        front.PublishFramebuffer();
        front.MustBeDisconnected("vfb", reason);
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 52)]
    [InlineData(4096UL)]
    [InlineData(0x8000000UL)]
    public void DirectoryEntriesThatPointAnywhere(ulong frame)
    {
        using (ScreenFront front = new())
        {
            front.Prepare();
            front.Shared.Pd[0] = frame;
            front.PublishFramebuffer();
            front.MustBeDisconnected("vfb", "is not the domain's");
        }
        using (ScreenFront front = new())
        {
            front.Prepare();
            MemoryMarshal.Cast<byte, ulong>(front.Guest.Bytes(front.Directory))[7] = frame;
            front.PublishFramebuffer();
            front.MustBeDisconnected("vfb", "is not the domain's");
        }
    }

    /// <summary>A directory may be the page of pixels, or the shared page: odd, and harmless.</summary>
    [Fact]
    public void DirectoriesThatPointAtThemselves()
    {
        using ScreenFront front = new();
        front.Prepare();
        front.Shared.Pd[0] = front.Page;
        front.Guest.Bytes(front.Page)[..8].Clear();
        front.PublishFramebuffer();
        front.Guest.WaitForBackend("vfb", 0, XenbusState.Closing);
    }

    [Theory]
    [InlineData(8193, 100, 800, 32, 0)]
    [InlineData(200, 100, 800, 32, 4096)]
    [InlineData(200, 100, 800, 32, -4)]
    [InlineData(200, 100, int.MinValue, 32, 0)]
    [InlineData(200, 103, 800, 32, 0)]
    [InlineData(1, 1, 4, 32, int.MaxValue)]
    public void ResizesBeyondTheMemory(int width, int height, int stride, int depth, int offset)
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.ReportResize(width, height, stride, depth, offset);
        front.MustBeDisconnected("vfb", "");
        Assert.Equal(new Size(ScreenFront.Width, ScreenFront.Height), front.Surface.Size);
    }

    [Theory]
    [InlineData(52u)]
    [InlineData(0xffffffffu)]
    [InlineData(0x80000000u)]
    public void ProducersThatJump(uint producer)
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Volatile.Write(ref front.Words(front.Page)[3], producer);
        front.Guest.Send(uint.Parse(front.Guest.ReadFront("vfb", 0, "event-channel")!));
        front.MustBeDisconnected("vfb", "producer index jumped");
    }

    [Fact]
    public void EventsOfUnknownTypes()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.Report((byte)77);
        front.MustBeDisconnected("vfb", "an event of type 77");
    }

    [Fact]
    public void InputConsumersThatJump()
    {
        using ScreenFront front = new();
        front.ConnectKeyboard();
        Volatile.Write(ref front.Words(front.KeyboardPage)[0], 17);
        front.Input.Key(30, down: true);
        front.MustBeDisconnected("vkbd", "consumer index jumped");
        // What is typed now goes nowhere.
        front.Input.Key(30, down: false);
    }

    [Theory]
    [InlineData("page-gref=3", "cannot be mapped")]
    [InlineData("page-gref=x", "not a number")]
    [InlineData("event-channel=4000", "cannot be bound")]
    public void KeyboardNodesThatMakeNoSense(string node, string reason)
    {
        using ScreenFront front = new();
        front.PublishKeyboard(node);
        front.MustBeDisconnected("vkbd", reason);
    }

    /// <summary>Whatever the shared page says, the bus answers and the page is let go of.</summary>
    [Fact]
    public void AnyContents()
    {
        Random random = new(11);
        for (int round = 0; round < 40; round++)
        {
            using ScreenFront front = new();
            front.Prepare();
            front.PublishFramebuffer("feature-update=" + round % 2);
            front.Guest.WaitForBackend("vfb", 0, XenbusState.Connected);
            front.Surface.Add(new Nobody());
            string port = front.Guest.ReadFront("vfb", 0, "event-channel")!;
            for (int i = 0; i < 50; i++)
            {
                random.NextBytes(front.Guest.Bytes(front.Page)[FramebufferEvent.OutRingOffs..]);
                for (int slot = 0; slot < FramebufferEvent.OutRingLen; slot++)
                {
                    front.Guest.Bytes(front.Page)[FramebufferEvent.OutRingOffs + slot * 40] = (byte)(2 + random.Next(2));
                }
                front.Words(front.Page)[3] = front.Words(front.Page)[2] + (uint)random.Next(53);
                front.Guest.Events.Send(uint.Parse(port));
                front.PixelAt(random.Next(9000), random.Next(9000));
            }
            Assert.NotNull(front.Guest.ReadBack("vfb", 0, "state"));
        }
    }

    private sealed class Nobody : IScreenViewer
    {
        public void Damaged(Rectangle area) =>
            Assert.True(area is { X: >= 0, Y: >= 0, Right: <= PictureMode.MaxSide, Bottom: <= PictureMode.MaxSide });

        public void Resized()
        {
        }
    }
}
