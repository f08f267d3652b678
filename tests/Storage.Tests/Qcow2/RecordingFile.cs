using System;
using System.Collections.Generic;
using Ryokan.Linux.Interop.Files;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Tests.Qcow2;

/// <summary>
/// An image in memory that remembers each change, so that what a power cut would have left can be made
/// afterwards:
/// all that was synced, and of the rest any part in any order.
/// </summary>
internal sealed class RecordingFile(string path, byte[] contents) : IImageFile
{
    /// <summary>One change. Bytes: written there; Length: the file's new length; neither: a sync.</summary>
    public sealed record Change(ulong Offset, byte[]? Bytes, ulong? Length)
    {
        public bool IsSync => Bytes == null && Length == null;
    }

    private readonly object _lock = new();
    private byte[] _contents = (byte[])contents.Clone();

    public List<Change> Log { get; } = [];

    /// <summary>Whether the host's disk is full: asked for every change but a sync.</summary>
    public Func<bool> IsFull { get; set; } = () => false;

    public string Path => path;

    public bool IsReadOnly => false;

    public bool CanGrow => true;

    public ulong Length => (ulong)_contents.Length;

    public byte[] Contents => _contents;

    public void Read(ulong offset, Span<byte> destination)
    {
        lock (_lock)
        {
            destination.Clear();
            if (offset < Length)
            {
                ReadOnlySpan<byte> there = _contents.AsSpan((int)offset);
                there[..Math.Min(there.Length, destination.Length)].CopyTo(destination);
            }
        }
    }

    public void Read(ulong offset, ReadOnlySpan<IoVector> destination)
    {
        byte[] bytes = new byte[DiskRange.Total(destination)];
        Read(offset, bytes);
        IoVectors.CopyFrom(destination, bytes);
    }

    public void Write(ulong offset, ReadOnlySpan<byte> source) => Record(new Change(offset, source.ToArray(), null));

    public unsafe void Write(ulong offset, ReadOnlySpan<IoVector> source)
    {
        foreach (IoVector piece in source)
        {
            Write(offset, new ReadOnlySpan<byte>((void*)piece.Address, (int)piece.Length));
            offset += piece.Length;
        }
    }

    public void WriteZeroes(ulong offset, ulong length) => Write(offset, new byte[length]);

    public void Discard(ulong offset, ulong length) => Write(offset, new byte[length]);

    public void Sync() => Record(new Change(0, null, null));

    public void SetLength(ulong bytes) => Record(new Change(0, null, bytes));

    private void Record(Change change)
    {
        lock (_lock)
        {
            if (!change.IsSync && IsFull())
            {
                throw DiskException.Because(Path, "no room", DiskException.Enospc);
            }
            Log.Add(change);
            Apply(ref _contents, change);
        }
    }

    public static void Apply(ref byte[] contents, Change change)
    {
        if (change.Length is { } length)
        {
            Array.Resize(ref contents, (int)length);
        }
        else if (change.Bytes is { } bytes)
        {
            ulong end = change.Offset + (ulong)bytes.Length;
            if (end > (ulong)contents.Length)
            {
                Array.Resize(ref contents, (int)end);
            }
            bytes.CopyTo(contents, (int)change.Offset);
        }
    }

    /// <summary>What the disk may hold when the power goes after <paramref name="cut"/> changes.</summary>
    public byte[] AfterPowerCut(byte[] initial, int cut, Random random)
    {
        byte[] durable = (byte[])initial.Clone();
        int synced = Log.FindLastIndex(cut - 1, c => c.IsSync);
        for (int i = 0; i <= synced; i++)
        {
            Apply(ref durable, Log[i]);
        }
        List<Change> loose = [];
        for (int i = synced + 1; i < cut; i++)
        {
            loose.AddRange(Sectors(Log[i]));
        }
        // All, none, or some; each sector for itself, in any order.
        int chance = random.Next(4) switch { 0 => 0, 1 => 100, _ => random.Next(5, 95) };
        Change[] order = [.. loose];
        if (random.Next(2) == 0)
        {
            random.Shuffle(order);
        }
        foreach (Change change in order)
        {
            if (random.Next(100) < chance)
            {
                Apply(ref durable, change);
            }
        }
        return durable;
    }

    private static IEnumerable<Change> Sectors(Change change)
    {
        if (change.Bytes is not { } bytes)
        {
            yield return change;
            yield break;
        }
        for (int from = 0; from < bytes.Length;)
        {
            int to = Math.Min(bytes.Length, from + 512 - (int)((change.Offset + (ulong)from) % 512));
            yield return new Change(change.Offset + (ulong)from, bytes[from..to], null);
            from = to;
        }
    }

    public void Dispose()
    {
    }
}
