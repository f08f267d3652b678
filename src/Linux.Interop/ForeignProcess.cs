using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop;

/// <summary>
/// A process that is not our child: named by a descriptor (pidfd_open(2)), so that whoever has its number after it is never meant.
/// </summary>
public sealed unsafe partial class ForeignProcess : IDisposable
{
    private const long PidfdSendSignal = 424, PidfdOpen = 434;
    private const int Terminate = 9;

    private readonly SafeFileHandle _descriptor;

    private ForeignProcess(SafeFileHandle descriptor) => _descriptor = descriptor;

    /// <summary>Null when there is no such process, or no descriptor for it.</summary>
    public static ForeignProcess? Open(int pid)
    {
        long descriptor = Call(PidfdOpen, pid, 0, null, 0);
        return descriptor >= 0 ? new ForeignProcess(new SafeFileHandle((nint)descriptor, ownsHandle: true)) : null;
    }

    /// <summary>Ends it at once (SIGKILL); nothing happens when it has ended or belongs to somebody else.</summary>
    public void Kill()
    {
        if (!_descriptor.IsClosed)
        {
            _ = Call(PidfdSendSignal, _descriptor.DangerousGetHandle(), Terminate, null, 0);
            GC.KeepAlive(_descriptor);
        }
    }

    public void Dispose() => _descriptor.Dispose();

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long Call(long number, long process, long argument, void* information, long flags);
}
