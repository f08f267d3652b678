using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Ryokan.DomainBuilder.Kernel;

/// <summary>One program header of an ELF64 file (System V ABI, "Program Header").</summary>
internal readonly record struct ElfSegment(
    uint Type, ulong Offset, ulong VirtualAddress, ulong PhysicalAddress, ulong FileBytes, ulong MemoryBytes)
{
    public const uint Load = 1, Note = 4;

    /// <summary>The file bytes [offset, offset+length) are all in the segment's file part.</summary>
    public bool Holds(ulong offset, ulong length) =>
        offset >= Offset && length <= FileBytes && offset - Offset <= FileBytes - length;
}

/// <summary>The headers of an ELF64 x86-64 executable, checked.</summary>
internal sealed class ElfImage
{
    private const int HeaderBytes = 64, ProgramHeaderBytes = 56, MaxSegments = 64;
    private const int TypeExecutable = 2, MachineX8664 = 62;

    public ulong Entry { get; }
    public IReadOnlyList<ElfSegment> Segments { get; }

    private ElfImage(ulong entry, IReadOnlyList<ElfSegment> segments) =>
        (Entry, Segments) = (entry, segments);

    public static bool IsElf(ReadOnlySpan<byte> file) => file is [0x7f, (byte)'E', (byte)'L', (byte)'F', ..];

    /// <param name="head">the file's first bytes; must hold all program headers</param>
    /// <param name="fileLength">length of the whole file</param>
    /// <exception cref="KernelFormatException">not such an executable, or its headers contradict
    /// themselves</exception>
    public static ElfImage Parse(ReadOnlySpan<byte> head, long fileLength)
    {
        if (head.Length < HeaderBytes || !IsElf(head))
        {
            throw new KernelFormatException("not an ELF file");
        }
        if (head[4] != 2 || head[5] != 1
            || BinaryPrimitives.ReadUInt16LittleEndian(head[18..]) != MachineX8664)
        {
            throw new KernelFormatException("not a 64-bit x86 ELF file");
        }
        int type = BinaryPrimitives.ReadUInt16LittleEndian(head[16..]);
        if (type != TypeExecutable)
        {
            throw new KernelFormatException($"not an ELF executable (e_type {type})");
        }
        ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(head[32..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(head[54..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(head[56..]);
        if (count is 0 or > MaxSegments || size != ProgramHeaderBytes
            || offset > (ulong)(head.Length - count * ProgramHeaderBytes))
        {
            throw new KernelFormatException("the ELF program headers are missing or out of place");
        }
        var segments = new ElfSegment[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = head.Slice((int)offset + i * ProgramHeaderBytes, ProgramHeaderBytes);
            segments[i] = ParseSegment(header, i, fileLength);
        }
        return new ElfImage(BinaryPrimitives.ReadUInt64LittleEndian(head[24..]), segments);
    }

    private static ElfSegment ParseSegment(ReadOnlySpan<byte> header, int index, long fileLength)
    {
        ElfSegment segment = new(
            BinaryPrimitives.ReadUInt32LittleEndian(header),
            BinaryPrimitives.ReadUInt64LittleEndian(header[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[40..]));
        if (segment.Type is not (ElfSegment.Load or ElfSegment.Note))
        {
            return segment;
        }
        if (segment.FileBytes > (ulong)fileLength || segment.Offset > (ulong)fileLength - segment.FileBytes)
        {
            throw new KernelFormatException($"truncated: ELF segment {index} ends after the end of the file");
        }
        return segment.Type != ElfSegment.Load || segment.FileBytes <= segment.MemoryBytes ? segment
            : throw new KernelFormatException($"ELF segment {index} is larger in the file than in memory");
    }
}
