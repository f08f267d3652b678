using System;
using System.Buffers.Binary;
using System.Drawing;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Backends.Screen;
using Ryokan.Xen.Abi;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>Front ends for a framebuffer and a keyboard, written from fbif.h and kbdif.h.</summary>
internal sealed class ScreenFront : IDisposable
{
    public const int Width = 200, Height = 100, Stride = Width * 4;
    private const int PageBytes = 4096;

    private readonly ulong[] _pixelPages;
    private uint _framebufferPort, _keyboardPort, _produced, _consumed;

    public ScreenFront()
    {
        Guest = new ModelGuest();
        Surface = new ScreenSurface();
        Input = new ScreenInput(Surface);
        Assert.True(Guest.Bus.Add(new FramebufferBackend(Guest.Access, Surface, [new("vnc", "1")])));
        Assert.True(Guest.Bus.Add(new KeyboardBackend(Guest.Access, Input)));
        Page = Guest.Page();
        KeyboardPage = Guest.Page();
        Directory = Guest.Page();
        _pixelPages = new ulong[(Stride * Height + PageBytes - 1) / PageBytes];
        for (int i = 0; i < _pixelPages.Length; i++)
        {
            _pixelPages[i] = Guest.Page();
        }
        // Neighbours in the framebuffer are none in memory.
        Array.Reverse(_pixelPages);
    }

    public ModelGuest Guest { get; }

    public ScreenSurface Surface { get; }

    public ScreenInput Input { get; }

    public ulong Page { get; }

    public ulong KeyboardPage { get; }

    public ulong Directory { get; }

    public ref XenfbPage Shared => ref MemoryMarshal.AsRef<XenfbPage>(Guest.Bytes(Page));

    public Span<uint> Words(ulong page) => MemoryMarshal.Cast<byte, uint>(Guest.Bytes(page));

    public void SetPixel(int x, int y, uint value)
    {
        int at = y * Stride + x * 4;
        BinaryPrimitives.WriteUInt32LittleEndian(Guest.Bytes(_pixelPages[at / PageBytes])[(at % PageBytes)..], value);
    }

    /// <summary>Lays out the shared page and the directory, as a 64-bit or a 32-bit guest does.</summary>
    public void Prepare(bool narrow = false)
    {
        Shared.Width = Width;
        Shared.Height = Height;
        Shared.LineLength = Stride;
        Shared.MemLength = (uint)(_pixelPages.Length * PageBytes);
        Shared.Depth = 32;
        for (int i = 0; i < _pixelPages.Length; i++)
        {
            if (narrow)
            {
                Words(Directory)[i] = (uint)_pixelPages[i];
            }
            else
            {
                MemoryMarshal.Cast<byte, ulong>(Guest.Bytes(Directory))[i] = _pixelPages[i];
            }
        }
        if (narrow)
        {
            Words(Page)[9] = (uint)Directory;
        }
        else
        {
            Shared.Pd[0] = Directory;
        }
    }

    public void PublishFramebuffer(params string[] nodes)
    {
        Guest.WaitForBackend("vfb", 0, XenbusState.InitWait);
        _framebufferPort = Guest.Port();
        Guest.WriteFront("vfb", 0, "page-ref", Page);
        Guest.WriteFront("vfb", 0, "event-channel", _framebufferPort);
        Guest.WriteFront("vfb", 0, "protocol", IoProtocol.X8664);
        Guest.WriteFront("vfb", 0, "feature-update", 1);
        Write("vfb", nodes);
        Guest.SetState("vfb", 0, XenbusState.Initialised);
    }

    private void Write(string type, string[] nodes)
    {
        foreach (string node in nodes)
        {
            string[] parts = node.Split('=');
            Guest.WriteFront(type, 0, parts[0], parts[1]);
        }
    }

    public void ConnectFramebuffer(params string[] nodes)
    {
        Prepare();
        PublishFramebuffer(nodes);
        Guest.WaitForBackend("vfb", 0, XenbusState.Connected);
    }

    public void PublishKeyboard(params string[] nodes)
    {
        Guest.WaitForBackend("vkbd", 0, XenbusState.InitWait);
        _keyboardPort = Guest.Port();
        Guest.WriteFront("vkbd", 0, "page-gref", Guest.Grant(KeyboardPage));
        Guest.WriteFront("vkbd", 0, "event-channel", _keyboardPort);
        Write("vkbd", nodes);
        Guest.SetState("vkbd", 0, XenbusState.Initialised);
    }

    public void ConnectKeyboard(params string[] nodes)
    {
        PublishKeyboard(nodes);
        Guest.WaitForBackend("vkbd", 0, XenbusState.Connected);
    }

    /// <summary>Reports something; without waiting for room, as a front end must not.</summary>
    public void Report<T>(in T report)
        where T : unmanaged
    {
        int at = FramebufferEvent.OutRingOffs + (int)(_produced % FramebufferEvent.OutRingLen) * FramebufferEvent.OutEventSize;
        MemoryMarshal.Write(Guest.Bytes(Page)[at..], in report);
        Volatile.Write(ref Words(Page)[3], ++_produced);
        Guest.Send(_framebufferPort);
    }

    public void ReportUpdate(Rectangle area) => Report(new XenfbUpdate
    {
        Type = FramebufferEvent.TypeUpdate, X = area.X, Y = area.Y, Width = area.Width, Height = area.Height,
    });

    public void ReportResize(int width, int height, int stride, int depth, int offset) => Report(new XenfbResize
    {
        Type = FramebufferEvent.TypeResize, Width = width, Height = height, Stride = stride, Depth = depth, Offset = offset,
    });

    /// <summary>The next input event, as it lies in the ring; waits for it.</summary>
    public byte[] NextInput(bool release = true)
    {
        ModelGuest.WaitFor(() => Volatile.Read(ref Words(KeyboardPage)[1]) != _consumed, () => "no input event came");
        int at = KeyboardEvent.InRingOffs + (int)(_consumed % KeyboardEvent.InRingLen) * KeyboardEvent.InEventSize;
        byte[] e = Guest.Bytes(KeyboardPage).Slice(at, KeyboardEvent.InEventSize).ToArray();
        _consumed++;
        if (release)
        {
            Volatile.Write(ref Words(KeyboardPage)[0], _consumed);
            Guest.Send(_keyboardPort);
        }
        return e;
    }

    public void KickKeyboard() => Guest.Send(_keyboardPort);

    public XenkbdKey NextKey()
    {
        XenkbdKey key = MemoryMarshal.Read<XenkbdKey>(NextInput());
        Assert.Equal(KeyboardEvent.TypeKey, key.Type);
        return key;
    }

    public void MustBeDisconnected(string type, string reason)
    {
        Guest.WaitForBackend(type, 0, XenbusState.Closing);
        lock (Guest.Log)
        {
            Assert.Contains(Guest.Log, l => l.Contains(reason, StringComparison.Ordinal));
        }
    }

    public uint PixelAt(int x, int y)
    {
        uint[] pixel = new uint[1];
        Surface.Read(new Rectangle(x, y, 1, 1), pixel);
        return pixel[0];
    }

    public void Dispose() => Guest.Dispose();
}
