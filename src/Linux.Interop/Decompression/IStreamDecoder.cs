using System;

namespace Ryokan.Linux.Interop.Decompression;

/// <summary>What one call of a streaming decoder did.</summary>
/// <param name="Consumed">input bytes used</param>
/// <param name="Produced">output bytes written</param>
/// <param name="Finished">the end of the compressed stream was reached</param>
public readonly record struct DecodeStep(int Consumed, int Produced, bool Finished);

/// <summary>A decompressor of the host system, fed and drained in pieces.</summary>
public interface IStreamDecoder : IDisposable
{
    /// <summary>
    /// Takes what it can of <paramref name="input"/> and fills <paramref name="output"/> as far as it can.
    /// </summary>
    /// <exception cref="DecodeException">the stream is damaged</exception>
    DecodeStep Decode(ReadOnlySpan<byte> input, Span<byte> output);
}

/// <summary>
/// A compressed stream is damaged or not supported; the message says what the library said.
/// </summary>
public sealed class DecodeException(string message) : Exception(message);
