using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>
/// A made-up PV kernel file with the shape of a Linux one: text, data with notes in it, and a segment whose
/// memory part is larger than its file part. The contents come from a fixed seed.
/// </summary>
internal sealed class SampleKernel
{
    public const ulong VirtBase = 0xffffffff80000000;
    public const ulong TextPaddr = 0x1000000, DataPaddr = 0x2400000, InitPaddr = 0x2600000;
    public const int TextBytes = 19 << 20, DataBytes = 0x123456, InitFileBytes = 0x1234,
        InitMemoryBytes = 0x9000;
    public const int TextOffset = 0x200000, DataOffset = 0x1600000, InitOffset = 0x1800000;
    public const int NotesAt = 0x1000;

    public ulong Entry { get; init; } = VirtBase + InitPaddr + 0x1c0;
    public bool InitP2M { get; init; } = true;
    public bool ModStartPfn { get; init; } = true;
    public bool Pvh { get; init; }
    public bool Xen { get; init; } = true;
    public ulong? HypercallPage { get; init; }

    public byte[] Elf()
    {
        byte[] file = new byte[InitOffset + InitFileBytes];
        Random random = new(20261122);
        // Half noise, half runs: something for every compressor to do.
        for (int at = TextOffset; at < file.Length; at += 4096)
        {
            Span<byte> piece = file.AsSpan(at, Math.Min(2048, file.Length - at));
            random.NextBytes(piece);
        }
        byte[] notes = Notes();
        notes.CopyTo(file, DataOffset + NotesAt);
        WriteHeader(file, notes.Length);
        return file;
    }

    private void WriteHeader(byte[] file, int noteBytes)
    {
        Span<byte> header = file;
        ((ReadOnlySpan<byte>)[0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1]).CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header[16..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(header[18..], 62);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], 0x1000000);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], 64);
        BinaryPrimitives.WriteUInt16LittleEndian(header[54..], 56);
        BinaryPrimitives.WriteUInt16LittleEndian(header[56..], 4);
        Segment(header, 0, 1, TextOffset, TextPaddr, TextBytes, TextBytes);
        Segment(header, 1, 1, DataOffset, DataPaddr, DataBytes, DataBytes);
        Segment(header, 2, 1, InitOffset, InitPaddr, InitFileBytes, InitMemoryBytes);
        Segment(header, 3, 4, DataOffset + NotesAt, DataPaddr + NotesAt, noteBytes, noteBytes);
    }

    private static void Segment(
        Span<byte> file, int index, uint type, int offset, ulong paddr, int fileBytes, int bytes)
    {
        Span<byte> header = file.Slice(64 + index * 56, 56);
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], VirtBase + paddr);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], paddr);
        BinaryPrimitives.WriteInt64LittleEndian(header[32..], fileBytes);
        BinaryPrimitives.WriteInt64LittleEndian(header[40..], bytes);
    }

    private byte[] Notes()
    {
        List<byte> notes = [];
        Note(notes, "GNU", 3, new byte[20]);
        if (Xen)
        {
            if (!Pvh)
            {
                Note(notes, "Xen", 5, "xen-3.0\0"u8);
                Note(notes, "Xen", 1, Number(Entry));
            }
            Note(notes, "Xen", 6, "linux\0"u8);
            Note(notes, "Xen", 3, Number(VirtBase));
            Note(notes, "Xen", 8, "generic\0"u8);
            Note(notes, "Xen", 18, Number(0x1000850));
        }
        if (InitP2M)
        {
            Note(notes, "Xen", 15, Number(0x8000000000));
        }
        if (ModStartPfn)
        {
            Note(notes, "Xen", 16, Number(1));
        }
        if (HypercallPage is { } page)
        {
            Note(notes, "Xen", 2, Number(page));
        }
        Note(notes, "Linux", 0x101, new byte[4]);
        return [.. notes];
    }

    private static byte[] Number(ulong value) => BitConverter.GetBytes(value);

    private static void Note(List<byte> notes, string name, uint type, ReadOnlySpan<byte> value)
    {
        byte[] owner = Encoding.ASCII.GetBytes(name + "\0");
        notes.AddRange(BitConverter.GetBytes(owner.Length));
        notes.AddRange(BitConverter.GetBytes(value.Length));
        notes.AddRange(BitConverter.GetBytes(type));
        notes.AddRange(owner);
        notes.AddRange(new byte[-owner.Length & 3]);
        notes.AddRange(value.ToArray());
        notes.AddRange(new byte[-value.Length & 3]);
    }

    /// <summary>Wraps a payload as a bzImage.</summary>
    public static byte[] BzImage(byte[] payload)
    {
        const int sectors = 39, offset = 0x2cc;
        byte[] file = new byte[(sectors + 1) * 512 + offset + payload.Length + 100];
        file[0x1f1] = sectors;
        "HdrS"u8.CopyTo(file.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x206), 0x20f);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(0x248), offset);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(0x24c), payload.Length);
        payload.CopyTo(file, (sectors + 1) * 512 + offset);
        return file;
    }
}
