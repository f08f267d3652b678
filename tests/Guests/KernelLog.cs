using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace Ryokan.Guests.Tests;

/// <summary>A line of the kernel's log: its level (0 emergency to 7 debug) and its text without the time.</summary>
internal readonly record struct KernelLine(int Level, string Text)
{
    public override string ToString() => $"<{Level}> {Text}";
}

/// <summary>
/// What a kernel said while it booted, and how that compares with what the same kernel says on Xen. The logs to
/// compare with are <c>kernel-log/VENDOR-VCPUS.log</c>, recorded by <c>stock-xen.sh</c>.
/// </summary>
internal sealed partial class KernelLog
{
    /// <summary>Warnings and worse.</summary>
    public const int Warning = 4;

    // What differs from run to run, from host to host or by what is in the initramfs: each capture is left out.
    private static readonly Regex[] _variable =
    [
        // Xen's own version; where Xen shows APIC id 0 to each vCPU of a PV guest, we show its number.
        new(@"^Xen version: (\S+) \("),
        new(@"APIC id mismatch\. Firmware: ffff APIC: (\d+)$"),
        // The rate of the TSC, the date, the moment.
        new(@"^tsc: Detected ([\d.]+) MHz"),
        new(@"^clocksource: tsc(?:-early)?: .*max_cycles: (\S+), max_idle_ns: (\d+) ns"),
        new(@"^Calibrating delay loop .* ([\d.]+) BogoMIPS \(lpj=(\d+)\)"),
        new(@"^audit: type=2000 audit\(([\d.:]+)\)"),
        new(@"^sched_clock: Marking stable (.*)"),
        // The initramfs.
        new(@"^RAMDISK: (.*)"),
        new(@"^Memory: (\d+)K/\d+K available .* (\d+)K reserved"),
        new(@"^Freeing initrd memory: (\d+)K"),
    ];

    // What another processor of the same vendor may add or lack.
    private static readonly Regex[] _processor =
    [
        new(@"^x86/fpu: |^signal: max sigframe size|^Last level [id]TLB entries"),
        // Weaknesses of the processor, of which our guests are told that there are none (docs/decisions/0002).
        new(@"^Spectre V\d|^Speculative |^RETBleed|^Transient Scheduler|^MDS:|^MMIO Stale|^SRBDS|^ITS:|^TAA|^GDS|^VMSCAPE"),
        new(@"^active return thunk:|^AMD Zen|^Kernel/User page tables isolation"),
    ];

    // What a busy host makes a guest say, on Xen too.
    private static readonly Regex[] _load =
    [
        new(@"^hrtimer: interrupt took \d+ ns"),
        new(@"^clocksource: (?:Long readout interval|.* read-back delay of )"),
    ];

    private KernelLog(IReadOnlyList<KernelLine> lines) => Lines = lines;

    public IReadOnlyList<KernelLine> Lines { get; }

    /// <summary>The log that the job <c>log</c> showed, with what came on the console after it.</summary>
    public static KernelLog OfGuest(GuestRun run)
    {
        string[] console = [.. run.Console.Select(l => l.Text)];
        int end = Array.FindLastIndex(console, line => LogLine().IsMatch(line)) + 1;
        return new KernelLog([
            .. console[..end].Select(line => LogLine().Match(line)).Where(m => m.Success)
                .Select(m => new KernelLine(LevelOf(m), m.Groups["text"].Value)),
            // With "quiet" the console shows emergencies.
            .. console[end..].Select(line => ConsoleLine().Match(line)).Where(m => m.Success)
                .Select(m => new KernelLine(0, m.Groups["text"].Value)),
        ]);
    }

    /// <summary>A recorded log: "&lt;LEVEL&gt; TEXT" lines, and comments that begin with #.</summary>
    public static KernelLog OfFile(string path) => new(
        [.. File.ReadLines(path).Select(line => RecordedLine().Match(line)).Where(m => m.Success)
            .Select(m => new KernelLine(LevelOf(m), m.Groups["text"].Value))]);

    /// <summary>True when both come from the same build of the kernel: all their lines can be compared.</summary>
    public bool IsOfTheSameKernelAs(KernelLog other) => Lines[0] == other.Lines[0];

    /// <summary>Our lines that the other log lacks, without those that no Xen could be expected to have.</summary>
    public IEnumerable<KernelLine> NotIn(KernelLog other)
    {
        HashSet<KernelLine> known = [.. other.Lines.Select(Fixed)];
        return Lines.Where(l => !known.Contains(Fixed(l)) && !IsOf(_load, l)
            && !(l.Level > Warning && IsOf(_processor, l)));
    }

    /// <summary>Our lines that the other log lacks and that every run should have.</summary>
    public IEnumerable<KernelLine> MissingIn(KernelLog other) => NotIn(other).Where(l => !IsOf(_processor, l));

    private static bool IsOf(Regex[] patterns, KernelLine line) => patterns.Any(p => p.IsMatch(line.Text));

    // The line with what varies left out.
    private static KernelLine Fixed(KernelLine line)
    {
        Match? found = _variable.Select(p => p.Match(line.Text)).FirstOrDefault(m => m.Success);
        string text = line.Text;
        foreach (Group group in found?.Groups.Values.Skip(1).Reverse() ?? [])
        {
            text = text.Remove(group.Index, group.Length).Insert(group.Index, "*");
        }
        return line with { Text = text };
    }

    private static int LevelOf(Match match) =>
        int.Parse(match.Groups["level"].ValueSpan, CultureInfo.InvariantCulture) & 7;

    [GeneratedRegex(@"^LOG <(?<level>\d+)>\[ *[\d.]+\] (?<text>.*)$")]
    private static partial Regex LogLine();

    [GeneratedRegex(@"^\[ *\d+\.\d+\] (?<text>.*)$")]
    private static partial Regex ConsoleLine();

    [GeneratedRegex(@"^<(?<level>\d)> (?<text>.*)$")]
    private static partial Regex RecordedLine();
}
