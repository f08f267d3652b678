using System;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Decompression;

/// <summary>
/// Zstandard frames by way of the system's libzstd (API: zstd.h, "Streaming decompression").
/// </summary>
public sealed unsafe partial class ZstdDecoder : IStreamDecoder
{
    private nint _stream;

    [StructLayout(LayoutKind.Sequential)]
    private struct Buffer
    {
        public byte* Data;
        public nuint Size;
        public nuint Position;
    }

    public ZstdDecoder()
    {
        _stream = Create();
        if (_stream == 0)
        {
            throw new DecodeException("zstd: the decoder did not start");
        }
    }

    public DecodeStep Decode(ReadOnlySpan<byte> input, Span<byte> output)
    {
        ObjectDisposedException.ThrowIf(_stream == 0, this);
        fixed (byte* from = input)
        fixed (byte* to = output)
        {
            Buffer source = new() { Data = from, Size = (nuint)input.Length };
            Buffer target = new() { Data = to, Size = (nuint)output.Length };
            nuint status = DecompressStream(_stream, &target, &source);
            if (IsError(status) != 0)
            {
                throw new DecodeException($"zstd: {Marshal.PtrToStringUTF8(ErrorName(status))}");
            }
            return new DecodeStep((int)source.Position, (int)target.Position, status == 0);
        }
    }

    public void Dispose()
    {
        if (_stream != 0)
        {
            Free(_stream);
            _stream = 0;
        }
    }

    [LibraryImport("libzstd.so.1", EntryPoint = "ZSTD_createDStream")]
    private static partial nint Create();

    [LibraryImport("libzstd.so.1", EntryPoint = "ZSTD_freeDStream")]
    private static partial nuint Free(nint stream);

    [LibraryImport("libzstd.so.1", EntryPoint = "ZSTD_decompressStream")]
    private static partial nuint DecompressStream(nint stream, Buffer* output, Buffer* input);

    [LibraryImport("libzstd.so.1", EntryPoint = "ZSTD_isError")]
    private static partial uint IsError(nuint code);

    [LibraryImport("libzstd.so.1", EntryPoint = "ZSTD_getErrorName")]
    private static partial nint ErrorName(nuint code);
}
