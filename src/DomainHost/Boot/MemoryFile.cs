using System;
using System.IO;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Ryokan.Linux.Interop;

namespace Ryokan.DomainHost.Boot;

/// <summary>A file in memory with a path that this process can open; gone when it and its openers
/// are.</summary>
internal sealed class MemoryFile : IDisposable
{
    private const uint CloseOnExec = 1;

    private readonly SafeFileHandle _handle;

    /// <exception cref="OperatorException">the host has no memory for it</exception>
    public MemoryFile(string name, ReadOnlySpan<byte> contents)
    {
        int fd = Libc.MemfdCreate(name, CloseOnExec);
        _handle = new SafeFileHandle(fd, ownsHandle: true);
        try
        {
            if (fd < 0)
            {
                throw new IOException(Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()));
            }
            RandomAccess.Write(_handle, contents, 0);
        }
        catch (IOException e)
        {
            _handle.Dispose();
            throw new OperatorException($"{name}: no memory for {contents.Length} bytes: {e.Message}");
        }
    }

    public string Path => $"/proc/self/fd/{_handle.DangerousGetHandle()}";

    public void Dispose() => _handle.Dispose();
}
