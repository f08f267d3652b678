using System.Collections.Generic;
using System.Globalization;
using System.IO;

namespace Ryokan.DomainHost.Scheduling;

/// <summary>The CPUs that the host has online.</summary>
internal static class HostCpus
{
    private const string OnlineList = "/sys/devices/system/cpu/online";

    /// <summary>An affinity, or null when it allows every CPU that is online.</summary>
    public static IReadOnlyList<int>? Restriction(IReadOnlyList<int> affinity) =>
        affinity.Count == 0 || new HashSet<int>(affinity).IsSupersetOf(Online()) ? null : affinity;

    private static List<int> Online()
    {
        List<int> cpus = [];
        foreach (string range in File.ReadAllText(OnlineList).Trim().Split(','))
        {
            string[] ends = range.Split('-');
            int last = int.Parse(ends[^1], CultureInfo.InvariantCulture);
            for (int cpu = int.Parse(ends[0], CultureInfo.InvariantCulture); cpu <= last; cpu++)
            {
                cpus.Add(cpu);
            }
        }
        return cpus;
    }
}
