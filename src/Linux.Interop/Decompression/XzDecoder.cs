using System;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Decompression;

/// <summary>
/// The .xz container by way of the system's liblzma (API: lzma/base.h, lzma/container.h), with all its
/// filters: kernels use x86 BCJ in front of LZMA2.
/// </summary>
public sealed unsafe partial class XzDecoder : IStreamDecoder
{
    /// <summary>Dictionary and state may take this much; kernels use a 32 MiB dictionary.</summary>
    private const ulong MemoryLimit = 256 << 20;

    private const int Ok = 0, StreamEnd = 1, MemoryLimitError = 6;

    private Stream* _stream;

    /// <summary>lzma_stream: 136 bytes on x86-64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 136)]
    private struct Stream
    {
        public byte* NextIn;
        public nuint AvailIn;
        public ulong TotalIn;
        public byte* NextOut;
        public nuint AvailOut;
        public ulong TotalOut;
    }

    public XzDecoder()
    {
        // Unmanaged, because liblzma keeps the address of the struct inside its own state.
        _stream = (Stream*)NativeMemory.AllocZeroed((nuint)sizeof(Stream));
        int status = StreamDecoder(_stream, MemoryLimit, 0);
        if (status != Ok)
        {
            throw new DecodeException($"xz: the decoder did not start (liblzma status {status})");
        }
    }

    public DecodeStep Decode(ReadOnlySpan<byte> input, Span<byte> output)
    {
        ObjectDisposedException.ThrowIf(_stream == null, this);
        fixed (byte* from = input)
        fixed (byte* to = output)
        {
            _stream->NextIn = from;
            _stream->AvailIn = (nuint)input.Length;
            _stream->NextOut = to;
            _stream->AvailOut = (nuint)output.Length;
            int status = Code(_stream, 0);
            int consumed = input.Length - (int)_stream->AvailIn;
            int produced = output.Length - (int)_stream->AvailOut;
            return status switch
            {
                Ok or StreamEnd => new DecodeStep(consumed, produced, status == StreamEnd),
                MemoryLimitError => throw new DecodeException("xz: the dictionary is larger than 256 MiB"),
                _ => throw new DecodeException($"xz: damaged stream (liblzma status {status})"),
            };
        }
    }

    public void Dispose()
    {
        if (_stream != null)
        {
            End(_stream);
            NativeMemory.Free(_stream);
            _stream = null;
        }
    }

    [LibraryImport("liblzma.so.5", EntryPoint = "lzma_stream_decoder")]
    private static partial int StreamDecoder(Stream* stream, ulong memoryLimit, uint flags);

    [LibraryImport("liblzma.so.5", EntryPoint = "lzma_code")]
    private static partial int Code(Stream* stream, int action);

    [LibraryImport("liblzma.so.5", EntryPoint = "lzma_end")]
    private static partial void End(Stream* stream);
}
