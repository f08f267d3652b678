using System;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Ryokan.Engine.Soft.Stored;

/// <summary>
/// Head of one translation in a store. Behind it: extents {start, length} of the page and the guest bytes in them, host code, sites (a mask of words that are not
/// zero, and those), the map of instructions, the places of site numbers in the code, and {place, routine} of every jump out of it.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct StoredBlock
{
    public const int Alignment = 8;

    /// <summary>CRC-32C of all that follows.</summary>
    public uint Checksum;

    /// <summary>Of the whole record.</summary>
    public int Bytes;

    /// <summary>What the index knows it by.</summary>
    public uint Hash;
    public ulong PageVa;
    public ushort Offset;
    public byte Mode, HasEntry;
    public ushort Low, High, Extents, Source, Code, Local, EntryJump, EntryFrame, Sites, Map, SiteWords, Externals;

    /// <summary>True when a page has the bytes that the translation rests on.</summary>
    /// <param name="record">the whole record</param>
    public readonly bool IsOf(ReadOnlySpan<byte> record, ReadOnlySpan<byte> page)
    {
        ReadOnlySpan<ushort> extents = MemoryMarshal.Cast<byte, ushort>(record.Slice(Unsafe.SizeOf<StoredBlock>(), Extents * 2 * sizeof(ushort)));
        ReadOnlySpan<byte> bytes = record[(Unsafe.SizeOf<StoredBlock>() + extents.Length * sizeof(ushort))..];
        for (int n = 0; n < extents.Length; n += 2)
        {
            int length = extents[n + 1];
            if (!bytes[..length].SequenceEqual(page.Slice(extents[n], length)))
            {
                return false;
            }
            bytes = bytes[length..];
        }
        return true;
    }

    public static ref readonly StoredBlock Of(ReadOnlySpan<byte> record) =>
        ref Unsafe.As<byte, StoredBlock>(ref MemoryMarshal.GetReference(record));

    public static void Seal(Span<byte> record) =>
        BinaryPrimitives.WriteUInt32LittleEndian(record, ChecksumOf(record[sizeof(uint)..]));

    public static bool IsWhole(ReadOnlySpan<byte> record) =>
        BinaryPrimitives.ReadUInt32LittleEndian(record) == ChecksumOf(record[sizeof(uint)..]);

    /// <summary>CRC-32C by the host's instruction, which every processor with AVX2 has.</summary>
    private static uint ChecksumOf(ReadOnlySpan<byte> bytes)
    {
        ulong sum = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            sum = Sse42.X64.Crc32(sum, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }
        foreach (byte b in bytes)
        {
            sum = Sse42.Crc32((uint)sum, b);
        }
        return (uint)sum;
    }
}

/// <summary>Writes the parts of a record one after the other; the array is large enough.</summary>
internal ref struct RecordWriter(byte[] record, int start)
{
    private int _at = start;

    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(record.AsSpan(_at));
        _at += bytes.Length;
    }

    public void UInt16(int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(record.AsSpan(_at), checked((ushort)value));
        _at += sizeof(ushort);
    }

    public void UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(_at), value);
        _at += sizeof(uint);
    }

    public readonly int Length => _at;

    /// <summary>Fills up with zeros; returns the length.</summary>
    public int End(int alignment)
    {
        while (_at % alignment != 0)
        {
            record[_at++] = 0;
        }
        return _at;
    }
}

/// <summary>Reads them back.</summary>
internal ref struct RecordReader(ReadOnlySpan<byte> record, int start)
{
    private ReadOnlySpan<byte> _rest = record[start..];

    public ReadOnlySpan<byte> Bytes(int count)
    {
        ReadOnlySpan<byte> bytes = _rest[..count];
        _rest = _rest[count..];
        return bytes;
    }

    public int UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(sizeof(ushort)));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(sizeof(uint)));
}
