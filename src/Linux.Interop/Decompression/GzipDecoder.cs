using System;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Decompression;

/// <summary>
/// One member of a gzip file (RFC 1952) by way of the system's zlib (API: zlib.h). Unlike .NET's GZipStream it tells
/// where the member ends, and does not take a cut one for whole.
/// </summary>
public sealed unsafe partial class GzipDecoder : IStreamDecoder
{
    /// <summary>inflateInit2: a 32 KiB window, and the gzip container with its checksum and length.</summary>
    private const int GzipWindowBits = 15 + 16;

    private const int Ok = 0, StreamEnd = 1, BufferError = -5;

    /// <summary>Major version of the interface; zlib compares only the first character.</summary>
    private const string ZlibVersion = "1";

    private Stream* _stream;

    /// <summary>z_stream: 112 bytes on x86-64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 112)]
    private struct Stream
    {
        public byte* NextIn;
        public uint AvailIn;
        public ulong TotalIn;
        public byte* NextOut;
        public uint AvailOut;
        public ulong TotalOut;
    }

    public GzipDecoder()
    {
        // Unmanaged, because zlib's own state points back at the struct.
        _stream = (Stream*)NativeMemory.AllocZeroed((nuint)sizeof(Stream));
        int status = InflateInit(_stream, GzipWindowBits, ZlibVersion, sizeof(Stream));
        if (status != Ok)
        {
            throw new DecodeException($"gzip: the decoder did not start (zlib status {status})");
        }
    }

    public DecodeStep Decode(ReadOnlySpan<byte> input, Span<byte> output)
    {
        ObjectDisposedException.ThrowIf(_stream == null, this);
        fixed (byte* from = input)
        fixed (byte* to = output)
        {
            _stream->NextIn = from;
            _stream->AvailIn = (uint)input.Length;
            _stream->NextOut = to;
            _stream->AvailOut = (uint)output.Length;
            int status = Inflate(_stream, 0);
            int consumed = input.Length - (int)_stream->AvailIn;
            int produced = output.Length - (int)_stream->AvailOut;
            // "Buffer error" says only that there was nothing to do.
            return status is Ok or StreamEnd or BufferError
                ? new DecodeStep(consumed, produced, status == StreamEnd)
                : throw new DecodeException($"gzip: damaged stream (zlib status {status})");
        }
    }

    public void Dispose()
    {
        if (_stream != null)
        {
            _ = InflateEnd(_stream);
            NativeMemory.Free(_stream);
            _stream = null;
        }
    }

    [LibraryImport("libz.so.1", EntryPoint = "inflateInit2_", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int InflateInit(Stream* stream, int windowBits, string version, int streamBytes);

    [LibraryImport("libz.so.1", EntryPoint = "inflate")]
    private static partial int Inflate(Stream* stream, int flush);

    [LibraryImport("libz.so.1", EntryPoint = "inflateEnd")]
    private static partial int InflateEnd(Stream* stream);
}
