using System.Runtime.InteropServices;
using System.Threading;

namespace Ryokan.Linux.Interop;

/// <summary>
/// A binary event that one thread waits for with a deadline in nanoseconds (futex(2)): what .NET's own
/// waits round to milliseconds. Sticky: a <see cref="Set"/> before the wait ends the wait at once. Setting it is
/// free of system calls unless the thread sleeps.
/// </summary>
public sealed unsafe partial class Futex : System.IDisposable
{
    private const int WaitBitset = 9 | 128 /* FUTEX_PRIVATE_FLAG */;
    private const int Wake = 1 | 128;
    private const long SystemCallFutex = 202;
    private const int AnyBit = -1;

    /// <summary>What the word says.</summary>
    private const int IsClear = 0, IsSet = 1, Sleeps = 2;

    private readonly int* _word = (int*)NativeMemory.AllocZeroed(sizeof(int));

    private struct Timespec
    {
        public long Seconds, Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long Call(
        long number, int* word, long operation, long value, Timespec* timeout, nint unused, long mask);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ClockGettime(int clock, Timespec* now);

    /// <summary>CLOCK_MONOTONIC in nanoseconds, the time base of <see cref="WaitUntil"/>.</summary>
    public static long MonotonicNanoseconds()
    {
        Timespec now;
        ClockGettime(1, &now);
        return now.Seconds * 1_000_000_000 + now.Nanoseconds;
    }

    /// <summary>Ends the present or next wait. Any thread.</summary>
    public void Set()
    {
        if (Interlocked.Exchange(ref *_word, IsSet) == Sleeps)
        {
            Call(SystemCallFutex, _word, Wake, 1, null, 0, 0);
        }
        System.GC.KeepAlive(this);
    }

    /// <summary>
    /// Waits for <see cref="Set"/> or until CLOCK_MONOTONIC passes the deadline (nanoseconds;
    /// <see cref="long.MaxValue"/>: none), and takes the event back. True when it had been set. May also
    /// return early with false (a signal): callers look at their condition again.
    /// </summary>
    public bool WaitUntil(long deadlineNanoseconds)
    {
        if (Interlocked.CompareExchange(ref *_word, Sleeps, IsClear) != IsClear)
        {
            Volatile.Write(ref *_word, IsClear);
            Interlocked.MemoryBarrier();
            return true;
        }
        if (deadlineNanoseconds == long.MaxValue)
        {
            Call(SystemCallFutex, _word, WaitBitset, Sleeps, null, 0, AnyBit);
        }
        else
        {
            long at = deadlineNanoseconds < 0 ? 0 : deadlineNanoseconds;
            Timespec timeout = new() { Seconds = at / 1_000_000_000, Nanoseconds = at % 1_000_000_000 };
            Call(SystemCallFutex, _word, WaitBitset, Sleeps, &timeout, 0, AnyBit);
        }
        bool set = Interlocked.Exchange(ref *_word, IsClear) == IsSet;
        System.GC.KeepAlive(this);
        return set;
    }

    /// <summary>Nobody may set it or wait for it any more; where that is not known leave it to the collector.</summary>
    public void Dispose()
    {
        NativeMemory.Free(_word);
        System.GC.SuppressFinalize(this);
    }

    ~Futex() => NativeMemory.Free(_word);
}
