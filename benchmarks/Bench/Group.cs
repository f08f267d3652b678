using System;
using System.Collections.Generic;
using System.IO;

namespace Ryokan.Bench;

/// <summary>
/// A set of rows that is run in one go: as a job in a guest (a script of benchmarks/jobs) and as a command on the host.
/// </summary>
/// <param name="Name">The name for <c>--only</c>, and the name of the job.</param>
/// <param name="Title">The heading in the report.</param>
/// <param name="Goal">Wanted geometric mean, in times native; null when there is none.</param>
internal sealed record Group(string Name, string Title, double? Goal, int MemoryMebibytes, int Vcpus)
{
    /// <summary>The groups whose rows are compared with native.</summary>
    public static IReadOnlyList<Group> All { get; } =
    [
        new("cpu", "CPU-bound programs", 1.8, 256, 1),
        new("kernel", "Kernel operations", 6, 256, 1),
        new("real", "Real programs", 3, 512, 1),
        new("scale", "Two vCPUs: one process, then two at the same time", null, 256, 2),
    ];

    private string Image => Name == "real" ? "real" : "small";

    /// <summary>The guest that runs this group.</summary>
    public GuestRequest Guest(string images) => new(
        Path.Combine(images, Image + ".cpio"), MemoryMebibytes, Vcpus, "quiet mode=job job=" + Name);

    /// <summary>The same programs on the host; the current directory has to be on a memory file system.</summary>
    public ConsoleProcess StartNative(string images, string busybox, string directory)
    {
        string tree = Path.Combine(images, Image);
        string cpu = Path.Combine(tree, "bench/cpu");
        string[] command = Name switch
        {
            "cpu" => [cpu],
            "kernel" => ["/usr/bin/env", "BENCH_SH=" + busybox, Path.Combine(tree, "bench/kernel")],
            "real" => [busybox, "sh", Path.Combine(tree, "bench/real.sh"), tree],
            "scale" => [busybox, "sh", "-c", $"{cpu} --scale 1 && {cpu} --scale 2"],
            _ => throw new InvalidOperationException($"group {Name} has no native form"),
        };
        return new ConsoleProcess(command[0], command[1..], directory);
    }
}
