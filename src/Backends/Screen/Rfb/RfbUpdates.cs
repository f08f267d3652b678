using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Diagnostics;
using System.Drawing;
using System.IO;
using System.Threading;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// What one viewer is sent: the thread that waits until it has asked and something has changed, and writes it. A slow
/// viewer holds up this thread and nobody else; what it misses is kept as dirty tiles.
/// </summary>
internal sealed class RfbUpdates(RfbConnection connection, ScreenSurface surface) : IScreenViewer, IDisposable
{
    private const byte UpdateMessage = 0;

    /// <summary>No viewer gets more than some 30 updates a second; drawing is the guest's work, not sending ours.</summary>
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(30);

    private readonly object _lock = new();
    private readonly MemoryStream _output = new();
    private uint[] _pixels = [];
    private ZrleEncoder? _zrle;

    // Guarded by the lock.
    private RfbPixelFormat _format = RfbPixelFormat.Default;
    private RfbEncodings _encodings = new([]);
    private DirtyTiles _dirty = new(new Size(1, 1));
    private Size _size;
    private bool _resized, _asked, _acknowledgeKeys, _ended;

    /// <summary>Chooses the size that the viewer is told; it is current from now on.</summary>
    public Size Begin()
    {
        // Not before: who is not let in gets no memory.
        _pixels = new uint[DirtyTiles.MaxPixels];
        surface.Add(this);
        lock (_lock)
        {
            _size = surface.Size;
            _dirty = new DirtyTiles(_size);
            _resized = false;
            return _size;
        }
    }

    public void SetFormat(RfbPixelFormat format)
    {
        lock (_lock)
        {
            _format = format;
        }
    }

    public void SetEncodings(RfbEncodings encodings)
    {
        lock (_lock)
        {
            // One rectangle tells a viewer that its scan codes are welcome; once is enough.
            _acknowledgeKeys |= encodings.HasScanCodes && !_encodings.HasScanCodes;
            _encodings = encodings;
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>The viewer wants to see what is new, or that part whether it is new or not.</summary>
    public void Ask(bool incremental, Rectangle area)
    {
        lock (_lock)
        {
            if (!incremental)
            {
                _dirty.Add(area);
            }
            _asked = true;
            Monitor.Pulse(_lock);
        }
    }

    void IScreenViewer.Damaged(Rectangle area)
    {
        lock (_lock)
        {
            _dirty.Add(area);
            Monitor.Pulse(_lock);
        }
    }

    void IScreenViewer.Resized()
    {
        lock (_lock)
        {
            _resized = true;
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>Sends until the connection breaks or <see cref="End"/> comes.</summary>
    /// <exception cref="IOException">the viewer has gone</exception>
    public void Run()
    {
        Stopwatch watch = new();
        while (Await())
        {
            watch.Restart();
            Send();
            TimeSpan rest = s_interval - watch.Elapsed;
            if (rest > TimeSpan.Zero)
            {
                Thread.Sleep(rest);
            }
        }
    }

    /// <summary>Waits for something to send; false at the end.</summary>
    private bool Await()
    {
        lock (_lock)
        {
            while (!_ended && !(_asked && (_dirty.Any || _resized || _acknowledgeKeys)))
            {
                Monitor.Wait(_lock);
            }
            return !_ended;
        }
    }

    private void Send()
    {
        List<Rectangle> areas;
        RfbPixelFormat format;
        RfbEncodings encodings;
        Size? size = null;
        bool acknowledge;
        lock (_lock)
        {
            if (_resized)
            {
                size = TakeSize();
            }
            areas = _dirty.Take();
            (format, encodings, acknowledge) = (_format, _encodings, _acknowledgeKeys);
            (_asked, _acknowledgeKeys) = (false, false);
        }
        int rectangles = areas.Count + (size == null ? 0 : 1) + (acknowledge ? 1 : 0);
        if (rectangles == 0)
        {
            // The screen changed its size for somebody who cannot follow, and nothing of what they see changed.
            Ask(incremental: true, Rectangle.Empty);
            return;
        }
        _output.SetLength(0);
        _output.Write([UpdateMessage, 0, (byte)(rectangles >> 8), (byte)rectangles]);
        if (size is { } now)
        {
            PutHeader(new Rectangle(Point.Empty, now), RfbEncodings.DesktopSize);
        }
        if (acknowledge)
        {
            PutHeader(Rectangle.Empty, RfbEncodings.ScanCodes);
        }
        foreach (Rectangle area in areas)
        {
            Put(area, format, encodings);
            Flush();
        }
        Flush();
    }

    /// <summary>Takes over the screen's new size, if the viewer can follow.</summary>
    private Size? TakeSize()
    {
        _resized = false;
        if (!_encodings.HasDesktopSize)
        {
            _dirty = new DirtyTiles(_size);
            return null;
        }
        _size = surface.Size;
        _dirty = new DirtyTiles(_size);
        return _size;
    }

    private void Put(Rectangle area, RfbPixelFormat format, RfbEncodings encodings)
    {
        Span<uint> pixels = _pixels.AsSpan(0, area.Width * area.Height);
        surface.Read(area, pixels);
        PutHeader(area, encodings.HasZrle ? RfbEncodings.Zrle : RfbEncodings.Raw);
        if (encodings.HasZrle)
        {
            _zrle ??= new ZrleEncoder();
            _zrle.Encode(pixels, area.Width, format, _output);
            return;
        }
        int start = (int)_output.Length, bytes = pixels.Length * format.PixelBytes;
        _output.SetLength(start + bytes);
        Span<byte> place = _output.GetBuffer().AsSpan(start, bytes);
        foreach (uint pixel in pixels)
        {
            place = format.Put(place, format.Convert(pixel));
        }
        _output.Position = start + bytes;
    }

    private void PutHeader(Rectangle area, int encoding)
    {
        Span<byte> header = stackalloc byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(header, (ushort)area.X);
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)area.Y);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)area.Width);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)area.Height);
        BinaryPrimitives.WriteInt32BigEndian(header[8..], encoding);
        _output.Write(header);
    }

    private void Flush()
    {
        connection.Write(_output.GetBuffer().AsSpan(0, (int)_output.Length));
        _output.SetLength(0);
    }

    /// <summary>Makes <see cref="Run"/> return. Any thread.</summary>
    public void End()
    {
        surface.Remove(this);
        lock (_lock)
        {
            _ended = true;
            Monitor.PulseAll(_lock);
        }
    }

    public void Dispose()
    {
        End();
        _zrle?.Dispose();
        _output.Dispose();
    }
}
