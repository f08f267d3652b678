using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop;

/// <summary>Two connected stream sockets (socketpair(2)), closed on exec.</summary>
public static unsafe partial class SocketPair
{
    private const int Unix = 1, Stream = 1, CloseOnExec = 0x80000;
    private const int SetFlags = 4, NonBlocking = 0x800, ReadWrite = 2;
    private const nuint UnreadBytes = 0x5411;

    [LibraryImport("libc", EntryPoint = "socketpair", SetLastError = true)]
    private static partial int Socketpair(int domain, int type, int protocol, int* descriptors);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(int fd, int command, int argument);

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Ioctl(SafeFileHandle fd, nuint request, int* argument);

    /// <summary>What the other end has not read yet: bytes of the kernel's memory (SIOCOUTQ, unix(7)); 0: nothing.</summary>
    public static int Unread(SafeFileHandle socket)
    {
        int bytes = 0;
        return Ioctl(socket, UnreadBytes, &bytes) == 0 ? bytes : 0;
    }

    /// <summary>Ours does not block; the other's does.</summary>
    /// <exception cref="InvalidOperationException">the host has no descriptor left</exception>
    public static (SafeFileHandle Ours, SafeFileHandle Other) Make()
    {
        int* pair = stackalloc int[2];
        if (Socketpair(Unix, Stream | CloseOnExec, 0, pair) != 0
            || Fcntl(pair[0], SetFlags, ReadWrite | NonBlocking) != 0)
        {
            throw new InvalidOperationException($"socketpair: errno {Marshal.GetLastPInvokeError()}");
        }
        return (new SafeFileHandle(pair[0], ownsHandle: true), new SafeFileHandle(pair[1], ownsHandle: true));
    }
}
