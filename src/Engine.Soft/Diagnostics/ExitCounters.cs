using System;
using System.IO;
using System.Linq;
using Iced.Intel;
using Ryokan.Engine.Soft.Translate;

namespace Ryokan.Engine.Soft.Diagnostics;

/// <summary>How often a vCPU left translated code, by reason. Written by the vCPU's own thread; others may read a little late.</summary>
internal sealed class ExitCounters
{
    private readonly long[] _sites = new long[Enum.GetValues<SiteKind>().Length];

    public long JumpMisses, HostFaults, Kicks, Fills, Steps, Ungrouped, BlocksFound, UserFlushes, FullFlushes, KernelRootChanges, Returned;

    public void Count(SiteKind kind) => _sites[(int)kind]++;

    /// <summary>By form; grows to the highest that was counted.</summary>
    private long[] _slow = [];

    /// <summary>An instruction that C# carried out.</summary>
    public void CountSlow(Code code)
    {
        if ((int)code >= _slow.Length)
        {
            Array.Resize(ref _slow, (int)code + 1);
        }
        _slow[(int)code]++;
    }

    public void Write(TextWriter text, int vcpu, long inlineFills, long inlineCodePages)
    {
        text.WriteLine($"vCPU {vcpu}");
        for (int kind = 0; kind < _sites.Length; kind++)
        {
            Line(((SiteKind)kind).ToString(), _sites[kind]);
        }
        foreach ((long count, int code) in _slow.Select((count, code) => (count, code)).OrderDescending())
        {
            Line($"  slow: {(Code)code}", count);
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
        Line("pages looked up on return", Returned);

        void Line(string name, long value)
        {
            if (value != 0)
            {
                text.WriteLine(FormattableString.Invariant($"  {name,-26}{value,14:N0}"));
            }
        }
    }
}
