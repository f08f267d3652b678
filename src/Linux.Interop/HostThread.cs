using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;

namespace Ryokan.Linux.Interop;

/// <summary>
/// Where and how urgently a thread of this process runs: sched_setaffinity(2), setpriority(2), proc(5).
/// Threads are named by their number (gettid(2)).
/// </summary>
public static unsafe partial class HostThread
{
    /// <summary>Host CPUs that an affinity can name (CPU_SETSIZE of sched.h).</summary>
    public const int MaxCpus = 1024;

    private const int MaskWords = MaxCpus / 64;
    private const int PriorityOfProcess = 0;

    /// <summary>Field of /proc/PID/task/TID/stat after the name: the CPU it ran on last (field 39).</summary>
    private const int ProcessorField = 36;

    [LibraryImport("libc", EntryPoint = "gettid")]
    public static partial int CurrentId();

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SchedSetaffinity(int thread, nuint size, ulong* mask);

    [LibraryImport("libc", EntryPoint = "sched_getaffinity", SetLastError = true)]
    private static partial int SchedGetaffinity(int thread, nuint size, ulong* mask);

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    private static partial int Setpriority(int which, int thread, int nice);

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int Getpriority(int which, int thread);

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int Getrusage(int who, long* usage);

    /// <summary>
    /// How often the calling thread has waited for something so far (ru_nvcsw of getrusage(2)); being put off the CPU
    /// for others does not count.
    /// </summary>
    public static long CurrentWaits()
    {
        const int CallingThread = 1, Words = 18, VoluntarySwitches = 16;
        long* usage = stackalloc long[Words];
        return Getrusage(CallingThread, usage) == 0 ? usage[VoluntarySwitches] : 0;
    }

    /// <summary>Lets a thread run on these CPUs only; null: on all that the host lets it have.</summary>
    /// <returns>null, or why not, for a person</returns>
    public static string? SetAffinity(int thread, IReadOnlyList<int>? cpus)
    {
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Fill(cpus == null ? ~0UL : 0);
        foreach (int cpu in cpus ?? [])
        {
            if ((uint)cpu >= MaxCpus)
            {
                return $"there is no CPU {cpu}";
            }
            mask[cpu / 64] |= 1UL << (cpu % 64);
        }
        return SchedSetaffinity(thread, MaskWords * sizeof(ulong), mask) == 0 ? null : LastError();
    }

    /// <summary>The CPUs that a thread may run on; empty when it is gone.</summary>
    public static IReadOnlyList<int> Affinity(int thread)
    {
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        List<int> cpus = [];
        if (SchedGetaffinity(thread, MaskWords * sizeof(ulong), mask) == 0)
        {
            for (int cpu = 0; cpu < MaxCpus; cpu++)
            {
                if ((mask[cpu / 64] >> (cpu % 64) & 1) != 0)
                {
                    cpus.Add(cpu);
                }
            }
        }
        return cpus;
    }

    public static int Nice(int thread) => Getpriority(PriorityOfProcess, thread);

    /// <param name="nice">-20 (most urgent) .. 19</param>
    /// <returns>null, or why not, for a person</returns>
    public static string? SetNice(int thread, int nice) =>
        Setpriority(PriorityOfProcess, thread, nice) == 0 ? null : LastError();

    /// <summary>The CPU that a thread runs on or ran on last; null when it is gone.</summary>
    public static int? Processor(int thread)
    {
        try
        {
            string stat = File.ReadAllText(
                string.Create(CultureInfo.InvariantCulture, $"/proc/self/task/{thread}/stat"));
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return int.Parse(fields[ProcessorField], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static string LastError() => Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());
}
