using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace Ryokan.Backends.Tests.Screen;

/// <summary>A viewer, written from RFC 6143: keeps the picture that it was sent as 0x00RRGGBB.</summary>
internal sealed class RfbClient : IDisposable
{
    private const int PatienceMilliseconds = 20_000;

    private readonly TcpClient _tcp;
    private readonly MemoryStream _zlibInput = new();
    private ZLibStream? _zlib;

    public RfbClient(int port)
    {
        _tcp = new TcpClient();
        _tcp.Connect(IPAddress.Loopback, port);
        _tcp.ReceiveTimeout = _tcp.SendTimeout = PatienceMilliseconds;
        Stream = _tcp.GetStream();
    }

    public NetworkStream Stream { get; }

    public int Width { get; private set; }

    public int Height { get; private set; }

    public uint[] Pixels { get; private set; } = [];

    public string Name { get; private set; } = "";

    /// <summary>Encodings of the rectangles that came.</summary>
    public List<int> Seen { get; } = [];

    public byte[] Read(int bytes)
    {
        byte[] buffer = new byte[bytes];
        Stream.ReadExactly(buffer);
        return buffer;
    }

    public int Number(int bytes)
    {
        int value = 0;
        foreach (byte b in Read(bytes))
        {
            value = value << 8 | b;
        }
        return value;
    }

    public void Write(params ReadOnlySpan<byte> bytes) => Stream.Write(bytes);

    /// <summary>The other side has closed the connection, after whatever it still had to say.</summary>
    public bool IsPutOut()
    {
        try
        {
            byte[] buffer = new byte[4096];
            while (Stream.Read(buffer) > 0)
            {
            }
            return true;
        }
        catch (IOException e)
        {
            return e.InnerException is SocketException { SocketErrorCode: not SocketError.TimedOut and not SocketError.WouldBlock };
        }
    }

    /// <summary>Version and security without a password.</summary>
    public RfbClient Open(string version = "003.008")
    {
        Greet(version);
        if (version == "003.003")
        {
            Assert.Equal(1, Number(4));
        }
        else
        {
            Assert.Equal([1, 1], Read(2));
            Write(1);
            if (version == "003.008")
            {
                Assert.Equal(0, Number(4));
            }
        }
        return Initialise();
    }

    public void Greet(string version = "003.008")
    {
        Assert.Equal("RFB 003.008\n", Encoding.ASCII.GetString(Read(12)));
        Write(Encoding.ASCII.GetBytes($"RFB {version}\n"));
    }

    /// <summary>ClientInit and ServerInit.</summary>
    public RfbClient Initialise()
    {
        Write(0);
        Resize(Number(2), Number(2));
        Assert.Equal([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0], Read(16));
        Name = Encoding.UTF8.GetString(Read(Number(4)));
        return this;
    }

    private void Resize(int width, int height)
    {
        (Width, Height) = (width, height);
        Pixels = new uint[width * height];
    }

    public void SetEncodings(params int[] encodings)
    {
        byte[] message = new byte[4 + encodings.Length * 4];
        message[0] = 2;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), (ushort)encodings.Length);
        for (int i = 0; i < encodings.Length; i++)
        {
            BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(4 + i * 4), encodings[i]);
        }
        Write(message);
    }

    public void Ask(bool incremental) => Write(3, incremental ? (byte)1 : (byte)0, 0, 0, 0, 0,
        (byte)(Width >> 8), (byte)Width, (byte)(Height >> 8), (byte)Height);

    /// <summary>Asks and takes what comes; returns the number of rectangles.</summary>
    public int Update(bool incremental)
    {
        Ask(incremental);
        return TakeUpdate();
    }

    public int TakeUpdate()
    {
        Assert.Equal(0, Number(1));
        Read(1);
        int count = Number(2);
        for (int i = 0; i < count; i++)
        {
            int x = Number(2), y = Number(2), width = Number(2), height = Number(2), encoding = Number(4);
            Seen.Add(encoding);
            switch (encoding)
            {
                case 0: TakeRaw(x, y, width, height); break;
                case 16: TakeZrle(x, y, width, height); break;
                case -223: Resize(width, height); break;
                case -258: break;
                default: Assert.Fail($"encoding {encoding}"); break;
            }
        }
        return count;
    }

    private void TakeRaw(int x, int y, int width, int height)
    {
        byte[] data = Read(width * height * 4);
        for (int i = 0; i < width * height; i++)
        {
            Pixels[(y + i / width) * Width + x + i % width] = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(i * 4));
        }
    }

    private void TakeZrle(int x, int y, int width, int height)
    {
        byte[] data = Read(Number(4));
        _zlibInput.SetLength(0);
        _zlibInput.Write(data);
        _zlibInput.Position = 0;
        _zlib ??= new ZLibStream(_zlibInput, CompressionMode.Decompress);
        for (int top = 0; top < height; top += 64)
        {
            for (int left = 0; left < width; left += 64)
            {
                int w = Math.Min(64, width - left), h = Math.Min(64, height - top);
                uint[] tile = TakeTile(w, h);
                for (int i = 0; i < tile.Length; i++)
                {
                    Pixels[(y + top + i / w) * Width + x + left + i % w] = tile[i];
                }
            }
        }
    }

    private uint Compact()
    {
        Span<byte> three = stackalloc byte[3];
        _zlib!.ReadExactly(three);
        return three[0] | (uint)three[1] << 8 | (uint)three[2] << 16;
    }

    private uint[] TakeTile(int width, int height)
    {
        uint[] tile = new uint[width * height];
        int kind = _zlib!.ReadByte();
        Assert.InRange(kind, 0, 16);
        uint[] palette = new uint[kind];
        for (int i = 0; i < kind; i++)
        {
            palette[i] = Compact();
        }
        int bits = kind == 2 ? 1 : kind <= 4 ? 2 : 4;
        for (int y = 0; y < height; y++)
        {
            int held = 0, have = 0;
            for (int x = 0; x < width; x++)
            {
                if (kind > 1 && have == 0)
                {
                    (held, have) = (_zlib.ReadByte(), 8);
                }
                have -= bits;
                tile[y * width + x] = kind == 0 ? Compact() : palette[kind == 1 ? 0 : held >> have & ((1 << bits) - 1)];
            }
        }
        return tile;
    }

    public void Key(uint keysym, bool down) => Write(4, down ? (byte)1 : (byte)0, 0, 0,
        (byte)(keysym >> 24), (byte)(keysym >> 16), (byte)(keysym >> 8), (byte)keysym);

    public void Pointer(byte buttons, int x, int y) => Write(5, buttons, (byte)(x >> 8), (byte)x, (byte)(y >> 8), (byte)y);

    public void Dispose() => _tcp.Dispose();
}
