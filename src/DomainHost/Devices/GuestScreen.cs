using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net;
using Ryokan.Api.Guests.Screen;
using Ryokan.Api.Wire;
using Ryokan.Backends;
using Ryokan.Backends.Screen;
using Ryokan.Backends.Screen.Rfb;
using Ryokan.Backends.Xenbus;
using Ryokan.Hypervisor;
using Ryokan.Linux.Interop.Keyboards;
using Ryokan.Linux.Interop.Network;

namespace Ryokan.DomainHost.Devices;

/// <summary>The screen of one guest: its framebuffer and keyboard, and who shows them by VNC.</summary>
internal sealed class GuestScreen : IDisposable
{
    private readonly RfbServer? _server;

    /// <summary>Adds both devices to the bus and opens the VNC port.</summary>
    /// <param name="domain">the guest</param>
    /// <param name="bus">its devices</param>
    /// <param name="name">of the guest, for the titles of viewers</param>
    /// <param name="vfb">the description</param>
    /// <exception cref="OperatorException">the port cannot be opened; nothing is left open</exception>
    public GuestScreen(Domain domain, DeviceBus bus, string name, VfbConfig vfb)
    {
        ScreenSurface surface = new();
        ScreenInput input = new(surface);
        if (vfb.Vnc)
        {
            try
            {
                _server = new RfbServer(new RfbServerOptions
                {
                    Name = name,
                    Surface = surface,
                    Input = input,
                    Keys = Keys(vfb.Keymap),
                    Address = IPAddress.Parse(vfb.Address),
                    Display = vfb.Display,
                    FindUnused = vfb.FindUnused,
                    Password = vfb.Password,
                });
            }
            catch (HostNetworkException e)
            {
                throw new OperatorException($"vfb: {e.Message}");
            }
            Info = new ScreenInfo(vfb.Address, _server.Port, _server.Display, vfb.Password != null);
        }
        bus.Add(new FramebufferBackend(GuestAccess.Of(domain), surface, Nodes(vfb)));
        bus.Add(new KeyboardBackend(GuestAccess.Of(domain), input));
    }

    /// <exception cref="OperatorException">this host does not know the keyboard</exception>
    private static KeyMap Keys(string name)
    {
        if (name == Keymap.Default || Keymap.Find(name) is not { } map)
        {
            return KeyMap.EnglishUs;
        }
        try
        {
            return KeyMap.Of(KeyboardLayout.Read(map.Layout, map.Variant), KeyboardLayout.Read(KeyboardLayout.Common));
        }
        catch (KeyboardLayoutException e)
        {
            throw new OperatorException($"vfb: keymap: '{name}': {e.Message}");
        }
    }

    /// <summary>Where it can be looked at; null: nowhere.</summary>
    public ScreenInfo? Info { get; }

    /// <summary>What Xen's toolstack writes there, but for the password, which the guest could read.</summary>
    private List<KeyValuePair<string, string>> Nodes(VfbConfig vfb)
    {
        int display = Info?.Display ?? vfb.Display;
        return
        [
            new("vnc", vfb.Vnc ? "1" : "0"),
            new("vnclisten", vfb.Address),
            new("vncdisplay", display.ToString(CultureInfo.InvariantCulture)),
            new("vncunused", vfb.FindUnused ? "1" : "0"),
            new("sdl", "0"),
            new("opengl", "0"),
        ];
    }

    /// <summary>Closes the port; nobody looks any more.</summary>
    public void Dispose() => _server?.Dispose();
}
