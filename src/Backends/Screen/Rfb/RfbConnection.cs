using System;
using System.Buffers.Binary;
using System.IO;
using System.Net.Sockets;

namespace Ryokan.Backends.Screen.Rfb;

/// <summary>
/// The bytes of one viewer's connection: read by one thread, written by one at a time. Numbers are big endian. Every
/// call can throw an <see cref="IOException"/>: the viewer has gone, or takes nothing for too long.
/// </summary>
internal sealed class RfbConnection : IDisposable
{
    /// <summary>A viewer that takes no byte for so long is given up.</summary>
    private const int SendTimeoutMilliseconds = 30_000;

    private const int BufferBytes = 4096;

    private readonly Socket _socket;
    private readonly NetworkStream _stream;
    private readonly BufferedStream _input;

    public RfbConnection(Socket socket)
    {
        _socket = socket;
        _socket.NoDelay = true;
        _socket.SendTimeout = SendTimeoutMilliseconds;
        // One that vanished without a word is noticed some time.
        _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        _stream = new NetworkStream(socket, ownsSocket: true);
        _input = new BufferedStream(_stream, BufferBytes);
    }

    public void Read(Span<byte> destination) => _input.ReadExactly(destination);

    public byte ReadByte()
    {
        Span<byte> one = stackalloc byte[1];
        Read(one);
        return one[0];
    }

    public ushort ReadUInt16()
    {
        Span<byte> two = stackalloc byte[2];
        Read(two);
        return BinaryPrimitives.ReadUInt16BigEndian(two);
    }

    public uint ReadUInt32()
    {
        Span<byte> four = stackalloc byte[4];
        Read(four);
        return BinaryPrimitives.ReadUInt32BigEndian(four);
    }

    public void Skip(uint bytes)
    {
        Span<byte> nowhere = stackalloc byte[256];
        while (bytes > 0)
        {
            int n = (int)Math.Min(bytes, (uint)nowhere.Length);
            Read(nowhere[..n]);
            bytes -= (uint)n;
        }
    }

    public void Write(ReadOnlySpan<byte> bytes) => _stream.Write(bytes);

    public void Write(uint value)
    {
        Span<byte> four = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(four, value);
        Write(four);
    }

    /// <summary>Ends reads and writes that are under way on other threads, and all later ones.</summary>
    public void Shutdown()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has gone already.
        }
    }

    public void Dispose() => _stream.Dispose();
}
