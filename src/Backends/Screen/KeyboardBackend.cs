using System;
using System.Collections.Generic;
using Ryokan.Backends.Rings;
using Ryokan.Backends.Xenbus;

namespace Ryokan.Backends.Screen;

/// <summary>
/// The back end of a virtual keyboard and pointer (xen/include/public/io/kbdif.h): passes on what the viewers of the
/// guest's screen do.
/// </summary>
public sealed class KeyboardBackend(GuestAccess guest, ScreenInput input) : DeviceBackend
{
    private EventPage? _page;
    private RingWorker? _worker;

    public override string Type => "vkbd";

    public override int Id => 0;

    public override IEnumerable<KeyValuePair<string, string>> FrontendNodes => [];

    public override IEnumerable<KeyValuePair<string, string>> BackendNodes => [];

    public override void Announce(DeviceNodes nodes)
    {
        nodes.WriteBackend("feature-abs-pointer", 1);
        nodes.WriteBackend("feature-raw-pointer", 1);
        nodes.WriteBackend("hotplug-status", "connected");
    }

    public override void Connect(DeviceNodes nodes)
    {
        PointerKind kind = !nodes.HasFeature("request-abs-pointer") ? PointerKind.Relative
            : nodes.HasFeature("request-raw-pointer") ? PointerKind.Raw : PointerKind.Absolute;
        _page = EventPage.Map(guest, nodes, EventRings.Keyboard);
        _worker = new RingWorker(guest, "vkbd", nodes.ReadNumber("event-channel"), Process, Fail);
        input.Open(kind, _worker.Wake);
        _worker.Start();
    }

    public override void Disconnect()
    {
        input.Close();
        _worker?.Dispose();
        _page?.Dispose();
        (_worker, _page) = (null, null);
    }

    /// <summary>Fills the guest's ring; the guest raises our port when it has taken something out.</summary>
    private void Process()
    {
        // Nothing that a guest can say is defined; its ring is kept empty all the same.
        Span<byte> unknown = stackalloc byte[1];
        for (int i = 0; i < EventRings.Keyboard.OutLength && _page!.TryTake(unknown); i++)
        {
            _page.Release();
        }
        bool any = false;
        while (!_worker!.IsStopping && input.Next() is { } next && _page!.TryPut(next))
        {
            input.Drop(next);
            any = true;
        }
        if (any)
        {
            _worker.NotifyGuest();
        }
    }
}
