using System;
using System.Buffers.Binary;
using System.Linq;
using Ryokan.Isa.Tests.Harness;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// Initial contents of data and stack pages: random bytes mixed with floating-point values of every kind.
/// The last data page holds tables with operands that must be well formed (control words, vector
/// indices, FLDENV images). A few variants are made once and shared by all cases.
/// </summary>
public static class MemoryImages
{
    public const int Variants = 16;

    /// <summary>Address and number of entries of each table.</summary>
    public const ulong Tables = AddressLayout.Data + 7 * AddressLayout.PageSize;
    public const ulong Mxcsr = Tables, Fcw = Tables + 0x40, Index32 = Tables + 0x100, Index64 = Tables + 0x200;
    public const ulong Masks = Tables + 0x300, Environment = Tables + 0x400, X87State = Tables + 0x500, Opmasks = Tables + 0x600;
    public const int MxcsrCount = 16, FcwCount = 16, IndexReach = 200, EnvironmentStride = 0x20, EnvironmentCount = 8;
    public const int OpmaskCount = 64;

    private static readonly Lazy<byte[][][]> s_images = new(Build);

    /// <summary>What is around a sequence: a stray jump ends at once.</summary>
    private static readonly byte[] s_breakpoints = [.. Enumerable.Repeat((byte)0xcc, AddressLayout.PageSize)];

    /// <summary>Fills data, read-only, stack and code frames of a case in one of the standard layouts.</summary>
    public static void Apply(TestCase test, int variant)
    {
        byte[][] pages = s_images.Value[variant % Variants];
        int n = 0;
        foreach (PageMapping page in test.Layout.Pages)
        {
            bool data = page.Va is >= AddressLayout.Data and <= AddressLayout.ReadOnly;
            bool stack = page.Va - AddressLayout.Stack < AddressLayout.StackPages * AddressLayout.PageSize;
            if (data || stack)
            {
                test.ShareFrame(page.Frame, pages[n++]);
            }
            else if (page.Access.HasFlag(PageAccess.Execute))
            {
                test.ShareFrame(page.Frame, s_breakpoints);
            }
        }
    }

    private static byte[][][] Build()
    {
        byte[][][] variants = new byte[Variants][][];
        for (int v = 0; v < Variants; v++)
        {
            var rng = new Rng((ulong)v + 77);
            variants[v] = new byte[AddressLayout.DataPages + 1 + AddressLayout.StackPages][];
            for (int p = 0; p < variants[v].Length; p++)
            {
                variants[v][p] = p == AddressLayout.DataPages - 1 ? TablePage(rng) : DataPage(rng);
            }
        }
        return variants;
    }

    private static byte[] DataPage(Rng rng)
    {
        byte[] page = new byte[AddressLayout.PageSize];
        for (int at = 0; at < page.Length; at += 64)
        {
            FillLine(rng, page.AsSpan(at, 64));
        }
        return page;
    }

    /// <summary>One 64-byte line of one sort of value.</summary>
    public static void FillLine(Rng rng, Span<byte> line)
    {
        int sort = rng.Below(5);
        if (sort == 0)
        {
            rng.Fill(line);
            return;
        }
        int step = sort switch { 1 => 4, 2 => 8, 3 => 16, _ => 8 };
        for (int i = 0; i + step <= line.Length; i += step)
        {
            switch (sort)
            {
                case 1:
                    BinaryPrimitives.WriteUInt32LittleEndian(line[i..], Single(rng));
                    break;
                case 2:
                    BinaryPrimitives.WriteUInt64LittleEndian(line[i..], Double(rng));
                    break;
                case 3:
                    Extended(rng, line.Slice(i, 10));
                    break;
                default:
                    BinaryPrimitives.WriteUInt64LittleEndian(line[i..], rng.Integer());
                    break;
            }
        }
    }

    /// <summary>A single-precision value: mostly ordinary, sometimes zero, infinite, NaN or subnormal.</summary>
    public static uint Single(Rng rng) => rng.Below(12) switch
    {
        0 => (uint)rng.Below(2) << 31,
        1 => 0x7f80_0000 | (uint)rng.Below(2) << 31,
        2 => 0x7f80_0001 | (uint)rng.Next(),
        3 => (uint)rng.Next() & 0x807f_ffff,
        4 => (uint)rng.Next(),
        _ => BitConverter.SingleToUInt32Bits((float)(((long)rng.Next() >> 40) / 1024.0)),
    };

    public static ulong Double(Rng rng) => rng.Below(12) switch
    {
        0 => (ulong)rng.Below(2) << 63,
        1 => 0x7ff0_0000_0000_0000 | (ulong)rng.Below(2) << 63,
        2 => 0x7ff0_0000_0000_0001 | rng.Next(),
        3 => rng.Next() & 0x800f_ffff_ffff_ffff,
        4 => rng.Next(),
        _ => BitConverter.DoubleToUInt64Bits(((long)rng.Next() >> 30) / 4096.0),
    };

    /// <summary>An 80-bit value, sometimes in one of the formats that no instruction produces.</summary>
    public static void Extended(Rng rng, Span<byte> ten)
    {
        ulong mantissa = rng.Next() | 1UL << 63;
        int exponent = 16383 + rng.Between(-40, 40);
        switch (rng.Below(12))
        {
            case 0:
                (mantissa, exponent) = (0, 0);
                break;
            case 1:
                (mantissa, exponent) = (1UL << 63, 0x7fff);
                break;
            case 2:
                exponent = 0x7fff;
                break;
            case 3:
                (mantissa, exponent) = (rng.Next() >> 1, 0);
                break;
            case 4:
                (mantissa, exponent) = (rng.Next(), rng.Below(0x8000));
                break;
            default:
                mantissa &= rng.Percent(50) ? ~0UL << rng.Below(64) | 1UL << 63 : ~0UL;
                break;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(ten, mantissa);
        BinaryPrimitives.WriteUInt16LittleEndian(ten[8..], (ushort)(exponent | rng.Below(2) << 15));
    }

    /// <summary>A control word: any rounding and precision, exceptions masked most of the time.</summary>
    public static ushort ControlWord(Rng rng) =>
        (ushort)(0x40 | rng.Below(16) << 8 | (rng.Percent(90) ? 0x3f : rng.Below(64)));

    /// <summary>A valid MXCSR: any rounding, FTZ and DAZ, exceptions masked most of the time.</summary>
    public static uint MxcsrValue(Rng rng) =>
        (uint)((rng.Percent(92) ? 0x1f80 : rng.Below(64) << 7) | rng.Below(8) << 13
            | (rng.Percent(20) ? 0x40 : 0) | (rng.Percent(20) ? rng.Below(64) : 0));

    /// <summary>An opmask that selects nothing, everything, the first elements, some, or a few.</summary>
    public static ulong Opmask(Rng rng) => rng.Below(8) switch
    {
        0 => 0,
        1 => ulong.MaxValue,
        2 or 3 => (1UL << rng.Below(64)) - 1,
        4 => ulong.MaxValue << rng.Below(32),
        5 => rng.Next() & rng.Next() & rng.Next(),
        _ => rng.Next(),
    };

    private static byte[] TablePage(Rng rng)
    {
        byte[] page = new byte[AddressLayout.PageSize];
        rng.Fill(page);
        Span<byte> bytes = page;
        for (int i = 0; i < 64; i++)
        {
            int index = rng.Between(-IndexReach, IndexReach);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[(0x100 + i * 4)..], index);
            BinaryPrimitives.WriteInt64LittleEndian(bytes[(0x200 + i % 32 * 8)..], index);
        }
        for (int i = 0; i < MxcsrCount; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[(i * 4)..], MxcsrValue(rng));
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[(0x40 + i * 2)..], ControlWord(rng));
        }
        for (int i = 0; i < EnvironmentCount; i++)
        {
            FillEnvironment(rng, bytes.Slice(0x400 + i * EnvironmentStride, EnvironmentStride));
        }
        FillEnvironment(rng, bytes.Slice(0x500, 28));
        for (int i = 0; i < 8; i++)
        {
            Extended(rng, bytes.Slice(0x500 + 28 + i * 10, 10));
        }
        for (int i = 0; i < OpmaskCount; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[(0x600 + i * sizeof(ulong))..], Opmask(rng));
        }
        return page;
    }

    /// <summary>FCW, FSW without a pending exception, FTW; the rest is pointers (SDM vol. 1, figure 8-9).</summary>
    private static void FillEnvironment(Rng rng, Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 0xffff0000 | 0x37fu | (uint)rng.Below(4) << 10);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], 0xffff0000 | ((uint)rng.Next() & 0x7f00));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], 0xffff0000 | (ushort)rng.Next());
    }
}
