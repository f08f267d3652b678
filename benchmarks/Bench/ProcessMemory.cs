using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Ryokan.Bench;

/// <summary>Memory of a domain process as /proc/PID/smaps counts it (proc(5)). Guest RAM is its largest writable mapping.</summary>
/// <param name="GuestRam">resident bytes of guest RAM</param>
/// <param name="Rest">all other resident bytes</param>
internal sealed record ProcessMemory(long GuestRam, long Rest)
{
    /// <exception cref="IOException">there is no such process</exception>
    public static ProcessMemory Of(int process)
    {
        List<(long Size, long Resident)> mappings = [];
        long size = 0;
        bool writable = false;
        foreach (string[] words in File.ReadLines($"/proc/{process}/smaps")
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)))
        {
            switch (words[0])
            {
                case "Size:":
                    size = writable ? Bytes(words[1]) : 0;
                    break;
                case "Rss:":
                    mappings.Add((size, Bytes(words[1])));
                    break;
                case [.., not ':']:
                    writable = words[1] == "rw-p";
                    break;
            }
        }

        long ram = mappings.MaxBy(m => m.Size).Resident;
        return new ProcessMemory(ram, mappings.Sum(m => m.Resident) - ram);
    }

    private static long Bytes(string kibibytes) => long.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024;
}
