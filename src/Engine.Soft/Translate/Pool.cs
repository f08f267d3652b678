using System;

namespace Ryokan.Engine.Soft.Translate;

/// <summary>
/// Keeps short runs of entries in large arrays: a block has a few of each kind, and the collector need not know of every one.
/// </summary>
internal sealed class Pool<T>
    where T : unmanaged
{
    private const int ChunkEntries = 8192;

    private T[] _chunk = [];
    private int _used;

    public ArraySegment<T> Keep(ReadOnlySpan<T> entries)
    {
        if (_used + entries.Length > _chunk.Length)
        {
            _chunk = GC.AllocateUninitializedArray<T>(Math.Max(ChunkEntries, entries.Length));
            _used = 0;
        }
        var kept = new ArraySegment<T>(_chunk, _used, entries.Length);
        entries.CopyTo(kept);
        _used += entries.Length;
        return kept;
    }
}
