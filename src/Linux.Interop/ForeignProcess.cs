using System;
using System.IO;
using System.Linq;
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

    private readonly int _pid;
    private readonly SafeFileHandle _descriptor;

    private ForeignProcess(int pid, SafeFileHandle descriptor) => (_pid, _descriptor) = (pid, descriptor);

    /// <summary>Null when there is no such process, or no descriptor for it.</summary>
    public static ForeignProcess? Open(int pid)
    {
        long descriptor = Open(PidfdOpen, pid, 0);
        return descriptor >= 0 ? new ForeignProcess(pid, new SafeFileHandle((nint)descriptor, ownsHandle: true)) : null;
    }

    /// <summary>True when it runs and was started with that argument (proc(5), cmdline).</summary>
    public bool HasArgument(string argument)
    {
        try
        {
            // Whoever has the number once it is free is not believed: a signal then finds that ours is gone.
            return File.ReadAllText($"/proc/{_pid}/cmdline").Split('\0').Contains(argument) && Signal(0);
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Ends it at once (SIGKILL); nothing happens when it has ended or belongs to somebody else.</summary>
    public void Kill() => Signal(Terminate);

    /// <summary>0: only looks; false when it has ended.</summary>
    private bool Signal(int signal) => Signal(PidfdSendSignal, _descriptor, signal, null, 0) == 0;

    public void Dispose() => _descriptor.Dispose();

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long Open(long number, long pid, long flags);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long Signal(long number, SafeFileHandle process, long signal, void* information, long flags);
}
