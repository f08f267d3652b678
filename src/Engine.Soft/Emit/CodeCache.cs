using System;
using Ryokan.Linux.Interop;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>
/// One read-write-execute mapping that all generated code of a domain lives in: fixed routines first,
/// translations after them, handed out upwards and taken back all at once. Owns the mapping; every
/// pointer it hands out stays inside it.
/// </summary>
internal sealed unsafe class CodeCache : IDisposable
{
    private readonly HugeMapping _mapping;
    private readonly nuint _bytes;
    private byte* _floor;
    private byte* _next;

    public byte* Start { get; }
    public byte* End => Start + _bytes;
    public byte* Next => _next;

    public CodeCache(int megabytes)
    {
        _bytes = (nuint)megabytes << 20;
        _mapping = new HugeMapping("code cache, read-write-execute", _bytes, Libc.ProtRead | Libc.ProtWrite | Libc.ProtExec); // large programs jump about in megabytes
        Start = _floor = _next = _mapping.Start;
    }

    /// <summary>What has been handed out so far is permanent: <see cref="Clear"/> keeps it.</summary>
    public void Seal()
    {
        _next = _floor = (byte*)(((nuint)_next + 4095) & ~(nuint)4095);
    }

    /// <summary>A 16-byte aligned block, or null when the cache is full.</summary>
    public byte* TryAllocate(int bytes)
    {
        byte* p = (byte*)(((nuint)_next + 15) & ~(nuint)15);
        if (p + bytes > End)
        {
            return null;
        }
        _next = p + bytes;
        return p;
    }

    public bool Contains(byte* p) => p >= Start && p < End;

    public void Clear() => _next = _floor;

    public void Dispose() => _mapping.Dispose();
}
