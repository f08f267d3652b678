using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Ryokan.Storage.Boot;

/// <summary>A part of a disk, in bytes.</summary>
/// <param name="Name">"partition 1", or "the whole disk"</param>
internal readonly record struct DiskPart(string Name, ulong Offset, ulong Length);

/// <summary>
/// Reads partition tables: GPT (UEFI specification, chapter 5) and the four primary partitions of an MBR.
/// Sectors have
/// 512 bytes.
/// </summary>
internal static class PartitionTable
{
    private const int Sector = 512, MaxEntries = 128;
    private const byte ProtectiveType = 0xee;

    /// <summary>The partitions in the order of the table; the whole disk when there is no table.</summary>
    public static List<DiskPart> Read(IDisk disk)
    {
        byte[] first = new byte[2 * Sector];
        if (disk.SizeBytes < (ulong)first.Length)
        {
            return [];
        }
        disk.Read(0, first);
        List<DiskPart> parts = [];
        if (first[510] == 0x55 && first[511] == 0xaa)
        {
            bool gpt = first[446 + 4] == ProtectiveType
                && first.AsSpan(Sector, 8).SequenceEqual("EFI PART"u8);
            parts = gpt ? ReadGpt(disk, first.AsSpan(Sector)) : ReadMbr(disk, first);
        }
        if (parts.Count == 0)
        {
            parts.Add(new DiskPart("the whole disk", 0, disk.SizeBytes));
        }
        return parts;
    }

    private static List<DiskPart> ReadMbr(IDisk disk, ReadOnlySpan<byte> sector)
    {
        List<DiskPart> parts = [];
        for (int i = 0; i < 4; i++)
        {
            ReadOnlySpan<byte> entry = sector.Slice(446 + i * 16, 16);
            if (entry[4] != 0)
            {
                ulong start = BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]);
                Add(parts, disk, i + 1, start, BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]));
            }
        }
        return parts;
    }

    private static List<DiskPart> ReadGpt(IDisk disk, ReadOnlySpan<byte> header)
    {
        List<DiskPart> parts = [];
        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(header[72..]);
        uint entries = uint.Min(BinaryPrimitives.ReadUInt32LittleEndian(header[80..]), MaxEntries);
        uint entryBytes = BinaryPrimitives.ReadUInt32LittleEndian(header[84..]);
        if (entryBytes is < 128 or > 4096 || table > disk.SizeBytes / Sector
            || disk.SizeBytes - table * Sector < (ulong)entries * entryBytes)
        {
            return parts;
        }
        byte[] entry = new byte[entryBytes];
        for (uint i = 0; i < entries; i++)
        {
            disk.Read(table * Sector + (ulong)i * entryBytes, entry);
            if (entry.AsSpan(0, 16).ContainsAnyExcept((byte)0))
            {
                ulong start = BinaryPrimitives.ReadUInt64LittleEndian(entry.AsSpan(32));
                ulong last = BinaryPrimitives.ReadUInt64LittleEndian(entry.AsSpan(40));
                Add(parts, disk, (int)i + 1, start, last >= start ? last - start + 1 : 0);
            }
        }
        return parts;
    }

    /// <summary>Leaves out what is not inside the disk.</summary>
    private static void Add(List<DiskPart> parts, IDisk disk, int number, ulong start, ulong sectors)
    {
        ulong all = disk.SizeBytes / Sector;
        if (sectors > 0 && start < all && sectors <= all - start)
        {
            parts.Add(new DiskPart($"partition {number}", start * Sector, sectors * Sector));
        }
    }
}
