using System;
using System.Collections.Concurrent;
using System.Drawing;
using System.Linq;
using System.Threading;
using Ryokan.Backends.Screen;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>A framebuffer that keeps to the protocol.</summary>
public sealed class FramebufferTests
{
    /// <summary>Writes down what it is told.</summary>
    private sealed class Viewer : IScreenViewer
    {
        public ConcurrentQueue<Rectangle> Damage { get; } = new();

        public int Resizes;

        public void Damaged(Rectangle area) => Damage.Enqueue(area);

        public void Resized() => Interlocked.Increment(ref Resizes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PixelsAreFoundThroughThePageDirectory(bool narrow)
    {
        using ScreenFront front = new();
        front.Prepare(narrow);
        front.PublishFramebuffer("protocol=" + (narrow ? IoProtocol.X8632 : IoProtocol.X8664));
        front.Guest.WaitForBackend("vfb", 0, XenbusState.Connected);
        Assert.Equal("1", front.Guest.ReadBack("vfb", 0, "request-update"));
        Assert.Equal("1", front.Guest.ReadBack("vfb", 0, "feature-resize"));
        Assert.Equal(new Size(ScreenFront.Width, ScreenFront.Height), front.Surface.Size);
        front.SetPixel(0, 0, 0xff123456);
        front.SetPixel(199, 99, 0x00abcdef);
        front.SetPixel(24, 5, 0x00445566);
        Assert.Equal(0x123456u, front.PixelAt(0, 0));
        Assert.Equal(0xabcdefu, front.PixelAt(199, 99));
        Assert.Equal(0x445566u, front.PixelAt(24, 5));
        Assert.Equal(0u, front.PixelAt(200, 99));
    }

    [Fact]
    public void UpdatesAreClippedAndPassedOn()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Viewer viewer = new();
        front.Surface.Add(viewer);
        front.ReportUpdate(new Rectangle(-50, -50, 60, 60));
        front.ReportUpdate(new Rectangle(190, 90, int.MaxValue, int.MaxValue));
        front.ReportUpdate(new Rectangle(int.MinValue, 0, int.MinValue, 5));
        front.ReportUpdate(new Rectangle(int.MaxValue, int.MaxValue, int.MaxValue, int.MaxValue));
        front.ReportUpdate(new Rectangle(1, 2, 3, 4));
        Rectangle[] expected = [new(0, 0, 10, 10), new(190, 90, 10, 10), new(1, 2, 3, 4)];
        ModelGuest.WaitFor(() => viewer.Damage.Count == 3, () => $"{viewer.Damage.Count} updates");
        Assert.Equal(expected, viewer.Damage);
    }

    [Fact]
    public void ManyUpdatesGoThroughTheRingAndAFullOneIsAnswered()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Viewer viewer = new();
        front.Surface.Add(viewer);
        const int count = 1000;
        for (uint i = 0; i < count; i++)
        {
            ModelGuest.WaitFor(() => i - Volatile.Read(ref front.Words(front.Page)[2]) < FramebufferEvent.OutRingLen,
                () => "the ring stays full");
            front.ReportUpdate(new Rectangle((int)i % 200, 0, 1, 1));
        }
        ModelGuest.WaitFor(() => viewer.Damage.Count == count, () => $"{viewer.Damage.Count} updates");
        Assert.Equal(Enumerable.Range(0, count).Select(i => i % 200), viewer.Damage.Select(d => d.X));
    }

    [Fact]
    public void ResizeChangesModeAndOffset()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Viewer viewer = new();
        front.Surface.Add(viewer);
        front.SetPixel(10, 1, 0x777777);
        front.ReportResize(100, 50, ScreenFront.Stride, 32, ScreenFront.Stride + 40);
        ModelGuest.WaitFor(() => viewer.Resizes == 1, () => "no resize");
        Assert.Equal(new Size(100, 50), front.Surface.Size);
        Assert.Equal(0x777777u, front.PixelAt(0, 0));
        Assert.Equal(0u, front.PixelAt(100, 0));
    }

    [Fact]
    public void PixelsOf16BitsAreSpread()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        // Two pixels in one word: 31,0,31 and 0,63,1.
        front.SetPixel(0, 0, 0x07e1u << 16 | 0xf81f);
        front.ReportResize(200, 100, 400, 16, 0);
        ModelGuest.WaitFor(() => front.PixelAt(0, 0) == 0xff00ff, () => $"{front.PixelAt(0, 0):x}");
        Assert.Equal(0x00ff08u, front.PixelAt(1, 0));
    }

    [Fact]
    public void AFrontEndThatDoesNotReportIsWatched()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer("feature-update=0");
        Assert.Equal("0", front.Guest.ReadBack("vfb", 0, "request-update"));
        Viewer viewer = new();
        front.Surface.Add(viewer);
        Thread.Sleep(200);
        viewer.Damage.Clear();
        front.SetPixel(7, 40, 0x112233);
        ModelGuest.WaitFor(() => !viewer.Damage.IsEmpty, () => "the change is not seen");
        Assert.All(viewer.Damage, d => Assert.Equal(new Rectangle(0, 32, 200, 16), d));
        Thread.Sleep(200);
        Assert.Single(viewer.Damage);
    }

    [Fact]
    public void TheGuestIsAdvisedHowOftenToDraw()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        Viewer viewer = new();
        ModelGuest.WaitFor(() => Volatile.Read(ref front.Words(front.Page)[1]) == 1, () => "no advice");
        front.Surface.Add(viewer);
        ModelGuest.WaitFor(() => Volatile.Read(ref front.Words(front.Page)[1]) == 2, () => "no advice");
        front.Surface.Remove(viewer);
        ModelGuest.WaitFor(() => Volatile.Read(ref front.Words(front.Page)[1]) == 3, () => "no advice");
        int[] periods = [.. Enumerable.Range(0, 3).Select(i => (int)front.Words(front.Page)[
            (FramebufferEvent.InRingOffs + i * FramebufferEvent.InEventSize) / 4 + 1])];
        Assert.Equal([0, 40, 0], periods);
    }

    [Fact]
    public void AfterDisconnectionItIsBlackAndItComesAgain()
    {
        using ScreenFront front = new();
        front.ConnectFramebuffer();
        front.SetPixel(3, 3, 0x654321);
        front.Guest.SetState("vfb", 0, XenbusState.Closing);
        front.Guest.WaitForBackend("vfb", 0, XenbusState.Closing);
        front.Guest.SetState("vfb", 0, XenbusState.Closed);
        front.Guest.WaitForBackend("vfb", 0, XenbusState.Closed);
        Assert.Equal(0u, front.PixelAt(3, 3));
        front.Guest.SetState("vfb", 0, XenbusState.Initialising);
        front.ConnectFramebuffer();
        Assert.Equal(0x654321u, front.PixelAt(3, 3));
    }
}
