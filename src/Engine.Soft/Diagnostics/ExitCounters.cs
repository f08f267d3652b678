using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ryokan.Engine.Soft.Translate;

namespace Ryokan.Engine.Soft.Diagnostics;

/// <summary>How often a vCPU left translated code, by reason. Written by the vCPU's own thread; others may read a little late.</summary>
internal sealed class ExitCounters
{
    private readonly long[] _sites = new long[Enum.GetValues<SiteKind>().Length];

    public long JumpMisses, HostFaults, Kicks, Fills, Steps, Ungrouped, BlocksFound, UserFlushes, FullFlushes, KernelRootChanges;

    public void Count(SiteKind kind) => _sites[(int)kind]++;

    private readonly Dictionary<Code, long> _slow = [];

    /// <summary>An instruction that C# carried out.</summary>
    public void CountSlow(Code code) => CollectionsMarshal.GetValueRefOrAddDefault(_slow, code, out _)++;

    public void Write(TextWriter text, int vcpu, long inlineFills, long inlineCodePages)
    {
        text.WriteLine($"vCPU {vcpu}");
        for (int kind = 0; kind < _sites.Length; kind++)
        {
            Line(((SiteKind)kind).ToString(), _sites[kind]);
        }
        foreach ((Code code, long count) in _slow.OrderByDescending(pair => pair.Value))
        {
            Line($"  slow: {code}", count);
        }
        Line("jump misses", JumpMisses);
        Line("  blocks looked up", BlocksFound);
        Line("host faults", HostFaults);
        Line("kicks", Kicks);
        Line("TLB fills", Fills);
        Line("  by generated code", inlineFills);
        Line("code pages by generated", inlineCodePages);
        Line("bounce steps", Steps);
        Line("groups that did not hold", Ungrouped);
        Line("user flushes", UserFlushes);
        Line("full flushes", FullFlushes);
        Line("kernel root changes", KernelRootChanges);

        void Line(string name, long value)
        {
            if (value != 0)
            {
                text.WriteLine(FormattableString.Invariant($"  {name,-26}{value,14:N0}"));
            }
        }
    }
}
