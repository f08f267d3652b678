using System;
using System.Buffers.Binary;

namespace Ryokan.DomainBuilder.Kernel;

/// <summary>
/// The header of a Linux/x86 bzImage (Linux: Documentation/arch/x86/boot.rst) as far as a loader that skips
/// the kernel's own decompressor needs it: where the compressed ELF file is.
/// </summary>
/// <param name="PayloadOffset">file offset of the compressed stream</param>
/// <param name="PayloadLength">its length, with the 4-byte uncompressed length at its end</param>
internal readonly record struct BzImage(int PayloadOffset, int PayloadLength)
{
    private const int SetupSects = 0x1f1, Magic = 0x202, Version = 0x206, PayloadOffsetField = 0x248,
        HeaderEnd = 0x250;
    private const uint HdrS = 0x53726448;

    public static bool IsBzImage(ReadOnlySpan<byte> file) =>
        file.Length >= HeaderEnd && BinaryPrimitives.ReadUInt32LittleEndian(file[Magic..]) == HdrS;

    /// <exception cref="KernelFormatException">too old, or the payload is not inside the file</exception>
    public static BzImage Parse(ReadOnlySpan<byte> file)
    {
        int version = BinaryPrimitives.ReadUInt16LittleEndian(file[Version..]);
        if (version < 0x208)
        {
            throw new KernelFormatException(
                $"bzImage with boot protocol {version >> 8}.{version & 0xff:d2}; 2.08 or later is needed");
        }
        int sectors = file[SetupSects] == 0 ? 4 : file[SetupSects];
        long offset = (sectors + 1) * 512L
            + BinaryPrimitives.ReadUInt32LittleEndian(file[PayloadOffsetField..]);
        long length = BinaryPrimitives.ReadUInt32LittleEndian(file[(PayloadOffsetField + 4)..]);
        if (length < 8)
        {
            throw new KernelFormatException("bzImage without a payload");
        }
        if (offset + length > file.Length)
        {
            throw new KernelFormatException(
                $"truncated: the header promises {offset + length} bytes, the file has {file.Length}");
        }
        return new BzImage((int)offset, (int)length);
    }
}
