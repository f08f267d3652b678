using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop.Files;

/// <summary>
/// One piece of memory for scattered reads and gathered writes: struct iovec of readv(2). Whoever makes one
/// guarantees that the memory stays where it is, and mapped, while it is in use: guest frames, unmanaged or
/// pinned memory.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct IoVector(nint address, nuint length)
{
    public readonly nint Address = address;

    /// <summary>In bytes.</summary>
    public readonly nuint Length = length;
}
