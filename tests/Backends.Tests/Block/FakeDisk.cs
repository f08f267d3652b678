using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Linux.Interop.Files;
using Ryokan.Storage;

namespace Ryokan.Backends.Tests.Block;

/// <summary>A disk in memory that remembers what was flushed, and whose host can be full, slow or broken.</summary>
internal sealed unsafe class FakeDisk(int bytes) : IDisk
{
    private readonly Lock _lock = new();
    private byte[] _bytes = new byte[bytes];

    /// <summary>What a power cut would leave.</summary>
    public byte[] Durable { get; private set; } = new byte[bytes];

    public byte[] Bytes => _bytes;

    public int Reads, Writes, Flushes, Discards;

    /// <summary>Errno of the next operations; 0: none.</summary>
    public volatile int FailWith;

    /// <summary>Only operations that touch this byte fail; -1: all.</summary>
    public long FailAt = -1;

    public volatile int DelayMilliseconds;

    public List<(ulong Offset, ulong Length)> WriteLog { get; } = [];

    public ulong SizeBytes => (ulong)_bytes.Length;

    public bool IsReadOnly { get; init; }

    public bool IsDisposed { get; private set; }

    public uint DiscardGranularityBytes => 4096;

    private void Begin(ulong offset, ulong length)
    {
        if (DelayMilliseconds > 0)
        {
            Thread.Sleep(DelayMilliseconds);
        }
        Assert(!IsDisposed, "used after it was closed");
        Assert(offset + length <= SizeBytes, "past its end");
        bool concerned = FailAt < 0 || ((ulong)FailAt >= offset && (ulong)FailAt < offset + length);
        if (FailWith != 0 && concerned)
        {
            throw DiskException.FromHost("fake", "do it", FailWith);
        }
    }

    private static void Assert(bool condition, string text)
    {
        if (!condition)
        {
            Environment.FailFast($"the disk was {text}");
        }
    }

    public void Read(ulong offset, Span<byte> destination)
    {
        Begin(offset, (ulong)destination.Length);
        lock (_lock)
        {
            Reads++;
            _bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
        }
    }

    public void Read(ulong offset, ReadOnlySpan<IoVector> destination)
    {
        foreach (IoVector v in destination)
        {
            Read(offset, new Span<byte>((void*)v.Address, (int)v.Length));
            offset += v.Length;
        }
    }

    public void Write(ulong offset, ReadOnlySpan<byte> source)
    {
        Assert(!IsReadOnly, "written although it is read-only");
        Begin(offset, (ulong)source.Length);
        lock (_lock)
        {
            Writes++;
            WriteLog.Add((offset, (ulong)source.Length));
            source.CopyTo(_bytes.AsSpan((int)offset));
        }
    }

    public void Write(ulong offset, ReadOnlySpan<IoVector> source)
    {
        foreach (IoVector v in source)
        {
            Write(offset, new ReadOnlySpan<byte>((void*)v.Address, (int)v.Length));
            offset += v.Length;
        }
    }

    public void WriteZeroes(ulong offset, ulong length) => Write(offset, new byte[length]);

    public void Discard(ulong offset, ulong length)
    {
        Begin(offset, length);
        lock (_lock)
        {
            Discards++;
            _bytes.AsSpan((int)offset, (int)length).Clear();
        }
    }

    public void Flush()
    {
        Begin(0, 0);
        lock (_lock)
        {
            Flushes++;
            Durable = [.. _bytes];
        }
    }

    public void Resize(ulong bytes)
    {
        lock (_lock)
        {
            Array.Resize(ref _bytes, (int)bytes);
        }
    }

    public void Dispose() => IsDisposed = true;
}
