using System;
using System.Buffers.Binary;
using System.IO;
using System.IO.Compression;
using System.Text;
using Xunit;

namespace Ryokan.Host.Tests.Screen;

/// <summary>Pixels as 0x00RRGGBB, row after row.</summary>
internal sealed record Picture(int Width, int Height, uint[] Pixels)
{
    public uint this[int x, int y] => Pixels[y * Width + x];

    public Picture Part(int left, int top, int width, int height)
    {
        uint[] part = new uint[width * height];
        for (int y = 0; y < height; y++)
        {
            Array.Copy(Pixels, (top + y) * Width + left, part, y * width, width);
        }
        return new Picture(width, height, part);
    }

    /// <summary>What is not the same, for a message; null when all is.</summary>
    public string? DifferenceFrom(Func<int, int, uint> expected)
    {
        for (int i = 0; i < Pixels.Length; i++)
        {
            uint want = expected(i % Width, i / Width);
            if (Pixels[i] != want)
            {
                return $"pixel {i % Width},{i / Width} of {Width}x{Height} is {Pixels[i]:x6}, not {want:x6}";
            }
        }
        return null;
    }

    /// <summary>A PNG of 8 bits a channel, RGB or RGBA, not interlaced (the PNG specification, 5 and 9).</summary>
    public static Picture ReadPng(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        using MemoryStream data = new();
        int width = 0, height = 0, channels = 0;
        for (int at = 8; at < file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            ReadOnlySpan<byte> chunk = file.AsSpan(at + 8, length);
            switch (Encoding.ASCII.GetString(file, at + 4, 4))
            {
                case "IHDR":
                    width = BinaryPrimitives.ReadInt32BigEndian(chunk);
                    height = BinaryPrimitives.ReadInt32BigEndian(chunk[4..]);
                    channels = chunk[9] == 6 ? 4 : 3;
                    Assert.Equal((8, 0), (chunk[8], chunk[12]));
                    Assert.True(chunk[9] is 2 or 6, $"colour type {chunk[9]}");
                    break;
                case "IDAT":
                    data.Write(chunk);
                    break;
            }
            at += length + 12;
        }
        data.Position = 0;
        using ZLibStream zlib = new(data, CompressionMode.Decompress);
        return new Picture(width, height, Unfilter(zlib, width, height, channels));
    }

    private static uint[] Unfilter(Stream zlib, int width, int height, int channels)
    {
        uint[] pixels = new uint[width * height];
        byte[] above = new byte[width * channels], row = new byte[width * channels];
        for (int y = 0; y < height; y++)
        {
            int filter = zlib.ReadByte();
            zlib.ReadExactly(row);
            for (int i = 0; i < row.Length; i++)
            {
                int left = i < channels ? 0 : row[i - channels], up = above[i];
                int corner = i < channels ? 0 : above[i - channels];
                row[i] += (byte)(filter switch
                {
                    1 => left,
                    2 => up,
                    3 => (left + up) / 2,
                    4 => Paeth(left, up, corner),
                    _ => 0,
                });
            }
            for (int x = 0; x < width; x++)
            {
                int i = x * channels;
                pixels[y * width + x] = (uint)(row[i] << 16 | row[i + 1] << 8 | row[i + 2]);
            }
            (above, row) = (row, above);
        }
        return pixels;
    }

    private static int Paeth(int left, int up, int corner)
    {
        int p = left + up - corner;
        int a = Math.Abs(p - left), b = Math.Abs(p - up), c = Math.Abs(p - corner);
        return a <= b && a <= c ? left : b <= c ? up : corner;
    }

    /// <summary>What Xvfb -fbdir keeps: an X window dump (XWDFile.h) of 32 bits a pixel.</summary>
    public static Picture ReadXwd(string path)
    {
        byte[] file;
        using (FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite))
        {
            file = new byte[stream.Length];
            stream.ReadExactly(file);
        }
        int Field(int index) => BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(index * 4));
        int width = Field(4), height = Field(5), rowBytes = Field(12), start = Field(0) + Field(19) * 12;
        Assert.Equal(32, Field(11));
        uint[] pixels = new uint[width * height];
        for (int i = 0; i < pixels.Length; i++)
        {
            int at = start + i / width * rowBytes + i % width * 4;
            pixels[i] = BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at)) & 0xffffff;
        }
        return new Picture(width, height, pixels);
    }
}
