using System;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Ryokan.DomainHost.Scheduling;

/// <summary>
/// A cgroup of version 2 with the cpu controller, made for one domain process beside the cgroup that it was
/// started in (Linux Documentation/admin-guide/cgroup-v2.rst: cpu.weight, cpu.max). Whether that is permitted
/// is the host's decision: root may, and whom the subtree is delegated to.
/// </summary>
internal sealed class CpuCgroup
{
    /// <summary>cpu.weight of a cgroup that nobody changed.</summary>
    private const int NeutralWeight = 100;
    private const int MaxWeight = 10000;

    /// <summary>
    /// cpu.max: a period in microseconds, and the least that the kernel takes as a quota in it.
    /// </summary>
    private const int PeriodMicroseconds = 100_000, LeastQuotaMicroseconds = 1000;

    /// <summary>The directory of the cgroup.</summary>
    public string Directory { get; }

    private CpuCgroup(string directory) => Directory = directory;

    /// <summary>Makes the cgroup and moves this process into it.</summary>
    /// <param name="name">of the new cgroup</param>
    /// <param name="problem">why there is none, for a person</param>
    public static CpuCgroup? TryEnter(string name, out string problem)
    {
        if (MountPoint() is not { } mount || OwnPath() is not { } own)
        {
            problem = "the host has no cgroup v2 hierarchy";
            return null;
        }
        string beside = own == "/" ? mount : mount + Path.GetDirectoryName(own)!.TrimEnd('/');
        return TryEnter(beside, name, Environment.ProcessId, out problem);
    }

    /// <summary>The same below a given cgroup.</summary>
    internal static CpuCgroup? TryEnter(string parent, string name, int process, out string problem)
    {
        string directory = Path.Combine(parent, name);
        bool made = false;
        try
        {
            if (!Words(Path.Combine(parent, "cgroup.controllers")).Contains("cpu"))
            {
                problem = $"the cgroup v2 {parent} has no cpu controller";
                return null;
            }
            string control = Path.Combine(parent, "cgroup.subtree_control");
            if (!Words(control).Contains("cpu"))
            {
                File.WriteAllText(control, "+cpu");
            }
            made = !System.IO.Directory.Exists(directory);
            System.IO.Directory.CreateDirectory(directory);
            File.WriteAllText(
                Path.Combine(directory, "cgroup.procs"), process.ToString(CultureInfo.InvariantCulture));
            problem = "";
            return new CpuCgroup(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (made)
            {
                TryRemove(directory);
            }
            problem = $"no cgroup can be made: {e.Message}";
            return null;
        }
    }

    /// <summary>Puts weight and cap in force.</summary>
    /// <exception cref="IOException">the host refuses</exception>
    public void Set(int xenWeight, int capPercent)
    {
        const int neutralXenWeight = Api.Wire.Scheduling.DefaultWeight;
        long weight = Math.Clamp((long)xenWeight * NeutralWeight / neutralXenWeight, 1, MaxWeight);
        long quota = Math.Max(capPercent * (PeriodMicroseconds / 100L), LeastQuotaMicroseconds);
        File.WriteAllText(
            Path.Combine(Directory, "cpu.weight"), weight.ToString(CultureInfo.InvariantCulture));
        File.WriteAllText(Path.Combine(Directory, "cpu.max"), string.Create(
            CultureInfo.InvariantCulture, $"{(capPercent == 0 ? "max" : quota)} {PeriodMicroseconds}"));
    }

    private static void TryRemove(string directory)
    {
        try
        {
            System.IO.Directory.Delete(directory);
        }
        catch (IOException)
        {
            // Empty, and of no consequence.
        }
    }

    private static string[] Words(string path) => File.ReadAllText(path).Split((char[])[' ', '\n']);

    /// <summary>proc(5), mountinfo: field 5 is the mount point, the type comes after " - ".</summary>
    private static string? MountPoint() =>
        File.ReadLines("/proc/self/mountinfo").FirstOrDefault(
            l => l.Contains(" - cgroup2 ", StringComparison.Ordinal))?.Split(' ')[4];

    /// <summary>cgroups(7): the line of version 2 is "0::PATH".</summary>
    private static string? OwnPath() =>
        File.ReadLines("/proc/self/cgroup").FirstOrDefault(
            l => l.StartsWith("0::", StringComparison.Ordinal))?["0::".Length..];
}
