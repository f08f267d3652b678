using System;

namespace Ryokan.DomainBuilder.Kernel;

/// <summary>Takes an uncompressed kernel file in pieces, so that it never exists as a whole.</summary>
internal interface IImageSink
{
    /// <summary>The first piece, before any other call; at least 64 KiB or the whole image.</summary>
    void Begin(ReadOnlySpan<byte> head, long imageLength);

    /// <summary>
    /// Where the bytes [offset, offset+length) belong in guest memory, when they are one run there: the
    /// caller may then produce them in place. Empty otherwise. Any thread.
    /// </summary>
    Span<byte> Direct(long offset, int length);

    /// <summary>Takes the bytes at <paramref name="offset"/>. Any thread, disjoint ranges.</summary>
    void Put(long offset, ReadOnlySpan<byte> bytes);
}
