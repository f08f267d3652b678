using System;
using System.Collections.Generic;
using System.Drawing;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Backends.Rings;
using Ryokan.Backends.Xenbus;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Screen;

/// <summary>
/// The back end of a virtual framebuffer (xen/include/public/io/fbif.h): finds the guest's pixels by way of its page
/// directory and follows what it says about changes. The pixels themselves are read by those who look.
/// </summary>
/// <param name="guest">whose</param>
/// <param name="surface">where the picture is shown</param>
/// <param name="nodes">more nodes for the back end's directory, as a toolstack writes them</param>
public sealed class FramebufferBackend(
    GuestAccess guest, ScreenSurface surface, IReadOnlyList<KeyValuePair<string, string>> nodes) : DeviceBackend
{
    /// <summary>How often a guest is advised to draw, and one that does not report is looked at.</summary>
    private const int PeriodMilliseconds = 40;

    /// <summary>Reports that come within that time are taken together; a viewer would not see them singly.</summary>
    private const int GatherMilliseconds = 5;

    private const int MaxReportsAtOnce = 2 * FramebufferEvent.OutRingLen;

    private EventPage? _page;
    private RingWorker? _worker;
    private Timer? _timer;
    private ChangeFinder? _finder;
    private long[] _pages = [];
    private uint _memoryBytes;
    private uint? _advised;

    public override string Type => "vfb";

    public override int Id => 0;

    public override IEnumerable<KeyValuePair<string, string>> FrontendNodes => [];

    public override IEnumerable<KeyValuePair<string, string>> BackendNodes => nodes;

    public override void Announce(DeviceNodes nodes)
    {
        nodes.WriteBackend("feature-resize", 1);
        nodes.WriteBackend("hotplug-status", "connected");
    }

    public override void Connect(DeviceNodes nodes)
    {
        _page = EventPage.Map(guest, nodes, EventRings.Framebuffer);
        XenfbPage shared = MemoryMarshal.Read<XenfbPage>(guest.Frames.SpanAt(_page.FrameIndex));
        _memoryBytes = shared.MemLength;
        PictureMode mode = new(shared.Width, shared.Height, (int)shared.LineLength, shared.Depth, Offset: 0);
        mode.Check(_memoryBytes);
        _pages = PageDirectory.Read(guest.Frames, _page, nodes.ReadFrontend("protocol"), _memoryBytes);
        bool reports = nodes.HasFeature("feature-update");
        _worker = new RingWorker(guest, "vfb", nodes.ReadNumber("event-channel"), Process, Fail);
        surface.Show(new Picture(guest.Frames, _pages, mode));
        surface.ViewersChanged = _worker.Wake;
        if (!reports)
        {
            _finder = new ChangeFinder(surface);
            _timer = new Timer(w => ((RingWorker)w!).Wake(), _worker, PeriodMilliseconds, PeriodMilliseconds);
        }
        nodes.WriteBackend("request-update", reports ? 1u : 0u);
        _worker.Start();
    }

    public override void Disconnect()
    {
        surface.ViewersChanged = null;
        _timer?.Dispose();
        _worker?.Dispose();
        surface.Show(null);
        _page?.Dispose();
        (_timer, _worker, _page, _finder, _pages, _advised) = (null, null, null, null, [], null);
    }

    private void Process()
    {
        Span<byte> report = stackalloc byte[EventRings.EventBytes];
        int taken = 0;
        while (taken < MaxReportsAtOnce && !_worker!.IsStopping && _page!.TryTake(report))
        {
            taken++;
            Take(report);
            if (_page.Release())
            {
                _worker.NotifyGuest();
            }
        }
        Advise();
        if (_finder != null && surface.HasViewers)
        {
            _finder.Look();
        }
        if (taken > 0)
        {
            // A guest that reports all the time is looked at now and then; it gathers what finds no place.
            Thread.Sleep(GatherMilliseconds);
            _worker!.Wake();
        }
    }

    private void Take(ReadOnlySpan<byte> report)
    {
        switch (report[0])
        {
            case FramebufferEvent.TypeUpdate:
                XenfbUpdate update = MemoryMarshal.Read<XenfbUpdate>(report);
                Rectangle area = Clip(update, surface.Size);
                if (!area.IsEmpty)
                {
                    surface.Damage(area);
                }
                break;
            case FramebufferEvent.TypeResize:
                XenfbResize resize = MemoryMarshal.Read<XenfbResize>(report);
                PictureMode mode = new(resize.Width, resize.Height, resize.Stride, resize.Depth, resize.Offset);
                mode.Check(_memoryBytes);
                surface.Show(new Picture(guest.Frames, _pages, mode));
                break;
            default:
                throw new FrontendException($"an event of type {report[0]}");
        }
    }

    /// <summary>The part of an update that lies on the screen; the numbers may be anything.</summary>
    private static Rectangle Clip(in XenfbUpdate u, Size size)
    {
        long left = Math.Max(0L, u.X), right = Math.Min(size.Width, (long)u.X + u.Width);
        long top = Math.Max(0L, u.Y), bottom = Math.Min(size.Height, (long)u.Y + u.Height);
        return right > left && bottom > top
            ? Rectangle.FromLTRB((int)left, (int)top, (int)right, (int)bottom) : Rectangle.Empty;
    }

    /// <summary>Says how often somebody wants to see something new; front ends may ignore it.</summary>
    private void Advise()
    {
        uint period = surface.HasViewers ? PeriodMilliseconds : (uint)FramebufferEvent.NoRefresh;
        if (period == _advised)
        {
            return;
        }
        XenfbRefreshPeriod advice = new() { Type = FramebufferEvent.TypeRefreshPeriod, Period = period };
        if (_page!.TryPut(MemoryMarshal.AsBytes(new ReadOnlySpan<XenfbRefreshPeriod>(in advice))))
        {
            _advised = period;
            _worker!.NotifyGuest();
        }
    }
}
