using System;
using System.Threading;

namespace Ryokan.Hypervisor.Grants;

/// <summary>
/// A frame that the guest granted and a back end holds: until it is disposed the guest sees the entry as
/// in use and must not reuse the frame. Not for use after that.
/// </summary>
public sealed class GrantMapping : IDisposable
{
    private GrantTable? _table;

    internal GrantMapping(GrantTable table, uint reference, long frameIndex, bool readOnly)
    {
        _table = table;
        Reference = reference;
        FrameIndex = frameIndex;
        IsReadOnly = readOnly;
    }

    public uint Reference { get; }

    /// <summary>Dense index of the frame, for the cells of GuestFrames.</summary>
    public long FrameIndex { get; }

    public bool IsReadOnly { get; }

    /// <summary>The 4096 bytes; the guest may change them at any time.</summary>
    public ReadOnlySpan<byte> Bytes => Table.Frames.SpanAt(FrameIndex);

    /// <summary>The same for writing; throws for a read-only mapping (our error, not the guest's).</summary>
    public Span<byte> WritableBytes => !IsReadOnly ? Table.Frames.SpanAt(FrameIndex)
        : throw new InvalidOperationException($"grant {Reference} is mapped read-only");

    /// <summary>To be called after writing, so that the bytes are not missed by migration.</summary>
    public void NoteWritten(int offset, int length) => Table.Frames.NoteWritten(FrameIndex, offset, length);

    private GrantTable Table => _table ?? throw new ObjectDisposedException(nameof(GrantMapping));

    public void Dispose() => Interlocked.Exchange(ref _table, null)?.Release(this);
}
