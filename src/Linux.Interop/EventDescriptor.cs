using System;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ryokan.Linux.Interop;

/// <summary>
/// An event that a thread waits for together with another descriptor (eventfd(2), ppoll(2)). Sticky, and free
/// of system calls while nobody waits. One thread waits, any may set.
/// </summary>
public sealed unsafe partial class EventDescriptor : IDisposable
{
    private const int CloseOnExec = 0x80000, NonBlocking = 0x800;
    private const short Input = 1, Output = 4;

    private readonly SafeFileHandle _handle;
    private int _set;
    private int _waiting;

    private struct PollEntry(int descriptor, int wanted)
    {
        public int Descriptor = descriptor;
        public short Wanted = (short)wanted;
        public short Happened = 0;
    }

    private struct Timespec
    {
        public long Seconds, Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int Eventfd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "ppoll", SetLastError = true)]
    private static partial int Ppoll(PollEntry* entries, nuint count, Timespec* timeout, void* mask);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle fd, ulong* value, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeFileHandle fd, ulong* value, nuint length);

    /// <exception cref="InvalidOperationException">the host has no descriptor left</exception>
    public EventDescriptor()
    {
        int fd = Eventfd(0, CloseOnExec | NonBlocking);
        _handle = fd >= 0 ? new SafeFileHandle(fd, ownsHandle: true)
            : throw new InvalidOperationException($"eventfd: errno {Marshal.GetLastPInvokeError()}");
    }

    /// <summary>Ends the present or next wait. Any thread; harmless after <see cref="Dispose"/>.</summary>
    public void Set()
    {
        if (System.Threading.Interlocked.Exchange(ref _set, 1) == 0
            && System.Threading.Volatile.Read(ref _waiting) != 0)
        {
            ulong one = 1;
            try
            {
                _ = Write(_handle, &one, sizeof(ulong));
            }
            catch (ObjectDisposedException)
            {
                // Nobody waits any more.
            }
        }
    }

    /// <summary>
    /// Waits until the event is set, the descriptor is ready, or CLOCK_MONOTONIC passes the deadline
    /// (nanoseconds; <see cref="long.MaxValue"/>: none), and takes the event back. May also return early.
    /// </summary>
    /// <param name="other">a descriptor, or null</param>
    /// <param name="input">ready to be read from counts</param>
    /// <param name="output">ready to be written to counts</param>
    public void Wait(SafeFileHandle? other, bool input, bool output, long deadlineNanoseconds)
    {
        System.Threading.Volatile.Write(ref _waiting, 1);
        System.Threading.Interlocked.MemoryBarrier();
        if (System.Threading.Volatile.Read(ref _set) == 0)
        {
            PollEntry* entries = stackalloc PollEntry[2];
            entries[0] = new PollEntry((int)_handle.DangerousGetHandle(), Input);
            bool both = other != null && (input || output);
            entries[1] = !both ? default : new PollEntry(
                (int)other!.DangerousGetHandle(), (input ? Input : 0) | (output ? Output : 0));
            Poll(entries, both ? 2 : 1, deadlineNanoseconds);
        }
        System.Threading.Volatile.Write(ref _waiting, 0);
        System.Threading.Volatile.Write(ref _set, 0);
        System.Threading.Interlocked.MemoryBarrier();
    }

    private void Poll(PollEntry* entries, int count, long deadlineNanoseconds)
    {
        if (deadlineNanoseconds == long.MaxValue)
        {
            Ppoll(entries, (nuint)count, null, null);
        }
        else
        {
            long left = Math.Max(0, deadlineNanoseconds - Futex.MonotonicNanoseconds());
            Timespec timeout = new() { Seconds = left / 1_000_000_000, Nanoseconds = left % 1_000_000_000 };
            Ppoll(entries, (nuint)count, &timeout, null);
        }
        if (entries[0].Happened != 0)
        {
            ulong value;
            _ = Read(_handle, &value, sizeof(ulong));
        }
    }

    public void Dispose() => _handle.Dispose();
}
