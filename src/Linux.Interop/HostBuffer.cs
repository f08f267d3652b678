using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop;

/// <summary>Bytes outside the managed heap, at an address that never changes, for system calls.</summary>
public sealed unsafe partial class HostBuffer : IDisposable
{
    private const int Interrupted = 4;
    private const int NoSignal = 0x4000;

    private readonly byte* _bytes;

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle fd, byte* buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint Send(SafeFileHandle fd, byte* buffer, nuint length, int flags);

    public HostBuffer(int length)
    {
        Length = length;
        _bytes = (byte*)NativeMemory.AlignedAlloc((nuint)length, 64);
        Span.Clear();
    }

    public int Length { get; }

    public Span<byte> Span => new(_bytes, Length);

    /// <summary>read(2) into [offset, offset + length).</summary>
    /// <returns>bytes read, 0 at the end, or the negative error number</returns>
    public int Read(SafeFileHandle descriptor, int offset, int length)
    {
        Span<byte> part = Span.Slice(offset, length);
        nint result;
        do
        {
            result = Read(descriptor, _bytes + offset, (nuint)part.Length);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        return result >= 0 ? (int)result : -Marshal.GetLastPInvokeError();
    }

    /// <summary>send(2) of [offset, offset + length) on a socket, without SIGPIPE.</summary>
    /// <returns>bytes taken, or the negative error number</returns>
    public int Send(SafeFileHandle descriptor, int offset, int length)
    {
        Span<byte> part = Span.Slice(offset, length);
        nint result = Send(descriptor, _bytes + offset, (nuint)part.Length, NoSignal);
        return result >= 0 ? (int)result : -Marshal.GetLastPInvokeError();
    }

    public void Dispose() => NativeMemory.AlignedFree(_bytes);
}
