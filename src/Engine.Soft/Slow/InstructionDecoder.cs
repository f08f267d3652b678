using System;
using Iced.Intel;

namespace Ryokan.Engine.Soft.Slow;

/// <summary>Decodes one instruction at a time without allocating; one thread at a time.</summary>
internal sealed class InstructionDecoder
{
    private const int MaxBytes = 16;

    private readonly byte[] _bytes = new byte[MaxBytes];
    private readonly ByteArrayCodeReader _reader;
    private readonly Decoder _decoder64, _decoder32;

    public InstructionDecoder()
    {
        _reader = new ByteArrayCodeReader(_bytes);
        _decoder64 = Decoder.Create(64, _reader, DecoderOptions.ForceReservedNop);
        _decoder32 = Decoder.Create(32, _reader, DecoderOptions.ForceReservedNop);
    }

    /// <param name="bytes">the instruction and what follows, as far as it can be read; at most 16 bytes</param>
    public void Decode(ReadOnlySpan<byte> bytes, bool isLong, ulong rip, out Instruction instruction)
    {
        Decoder decoder = isLong ? _decoder64 : _decoder32;
        bytes.CopyTo(_bytes);
        _reader.Position = 0;
        decoder.IP = rip;
        decoder.Decode(out instruction);
        if (instruction.Length > bytes.Length || (instruction.IsInvalid && bytes.Length < MaxBytes))
        {
            // What it needs cannot be read: decode what there is, so that the error says so.
            decoder = Decoder.Create(decoder.Bitness, bytes.ToArray(), DecoderOptions.ForceReservedNop);
            decoder.IP = rip;
            decoder.Decode(out instruction);
        }
    }
}
