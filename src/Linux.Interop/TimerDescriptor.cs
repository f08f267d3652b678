using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop;

/// <summary>
/// A one-shot timer on CLOCK_MONOTONIC that a thread waits for (timerfd_create(2)). Not subject to the
/// kernel's timer slack, and it can be set again without waking the waiter.
/// </summary>
public sealed unsafe partial class TimerDescriptor : IDisposable
{
    private const int ClockMonotonic = 1;
    private const int CloseOnExec = 0x80000;
    private const int AbsoluteTime = 1;

    private readonly SafeFileHandle _handle;

    private struct TimerSpec
    {
        public long IntervalSeconds, IntervalNanoseconds, Seconds, Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "timerfd_create", SetLastError = true)]
    private static partial int TimerfdCreate(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime", SetLastError = true)]
    private static partial int TimerfdSettime(SafeFileHandle fd, int flags, TimerSpec* value, TimerSpec* old);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle fd, ulong* expirations, nuint length);

    /// <summary>A timer that is not set.</summary>
    /// <exception cref="InvalidOperationException">the host has no descriptor left</exception>
    public TimerDescriptor()
    {
        int fd = TimerfdCreate(ClockMonotonic, CloseOnExec);
        _handle = fd >= 0 ? new SafeFileHandle(fd, ownsHandle: true)
            : throw new InvalidOperationException($"timerfd_create: errno {Marshal.GetLastPInvokeError()}");
    }

    /// <summary>
    /// Expires at that time (nanoseconds; in the past: at once), <see cref="long.MaxValue"/>: never.
    /// </summary>
    public void Arm(long deadlineNanoseconds)
    {
        TimerSpec spec = default;
        if (deadlineNanoseconds != long.MaxValue)
        {
            // All zero would disarm.
            long at = Math.Max(deadlineNanoseconds, 1);
            spec.Seconds = at / 1_000_000_000;
            spec.Nanoseconds = at % 1_000_000_000;
        }
        if (TimerfdSettime(_handle, AbsoluteTime, &spec, null) != 0)
        {
            throw new InvalidOperationException($"timerfd_settime: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    /// <summary>Waits until the timer expires; may return early when a signal comes.</summary>
    public void Wait()
    {
        ulong expirations;
        _ = Read(_handle, &expirations, sizeof(ulong));
    }

    public void Dispose() => _handle.Dispose();
}
