using System;
using System.Buffers.Binary;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Reference counts of 1 to 64 bits in a block: big-endian from 8 bits up, least significant bits first below
/// ("Refcount block entry" in docs/interop/qcow2.txt of QEMU).
/// </summary>
internal static class RefcountBits
{
    public static ulong Get(ReadOnlySpan<byte> block, int order, int index) => order switch
    {
        3 => block[index],
        4 => BinaryPrimitives.ReadUInt16BigEndian(block[(index * 2)..]),
        5 => BinaryPrimitives.ReadUInt32BigEndian(block[(index * 4)..]),
        6 => BinaryPrimitives.ReadUInt64BigEndian(block[(index * 8)..]),
        _ => (ulong)(block[index >> (3 - order)] >> Shift(order, index)) & Mask(order),
    };

    /// <summary>Sets one; returns the bytes [from, to) that changed.</summary>
    public static (int From, int To) Set(Span<byte> block, int order, int index, ulong value)
    {
        switch (order)
        {
            case 3:
                block[index] = (byte)value;
                break;
            case 4:
                BinaryPrimitives.WriteUInt16BigEndian(block[(index * 2)..], (ushort)value);
                break;
            case 5:
                BinaryPrimitives.WriteUInt32BigEndian(block[(index * 4)..], (uint)value);
                break;
            case 6:
                BinaryPrimitives.WriteUInt64BigEndian(block[(index * 8)..], value);
                break;
            default:
                ref byte place = ref block[index >> (3 - order)];
                place = (byte)((place & ~(int)(Mask(order) << Shift(order, index)))
                    | (int)(value << Shift(order, index)));
                return (index >> (3 - order), (index >> (3 - order)) + 1);
        }
        int bytes = 1 << (order - 3);
        return (index * bytes, index * bytes + bytes);
    }

    private static int Shift(int order, int index) => (index << order) & 7;

    private static ulong Mask(int order) => (1UL << (1 << order)) - 1;
}
