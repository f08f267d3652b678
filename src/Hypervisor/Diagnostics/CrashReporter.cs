using System;
using System.Collections.Generic;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Ryokan.Engine;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.X86;

namespace Ryokan.Hypervisor.Diagnostics;

/// <summary>Writes down what is known when a guest goes down.</summary>
internal static class CrashReporter
{
    private const int StackWords = 32;

    /// <summary>On the crashed vCPU's own thread: its memory can be read, the others' hypercalls may still move.</summary>
    public static CrashReport Make(Vcpu crashed, IReadOnlyList<Vcpu> all, string reason, string? monitorStack)
    {
        StringBuilder text = new();
        text.AppendLine(CultureInfo.InvariantCulture, $"vcpu{crashed.Id}: {reason}");
        DescribeRegisters(text, crashed);
        DescribeStack(text, crashed);
        if (monitorStack != null)
        {
            text.AppendLine(monitorStack);
        }
        foreach (Vcpu v in all)
        {
            if (v.IsInitialised)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"vcpu{v.Id}, last hypercalls:");
                v.Trace.Describe(text);
            }
        }
        return new CrashReport(crashed.Id, reason, crashed.Registers, text.ToString());
    }

    /// <summary>All vCPUs of a domain that is paused.</summary>
    public static string Describe(IReadOnlyList<Vcpu> all)
    {
        StringBuilder text = new();
        foreach (Vcpu v in all)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"vcpu{v.Id}: {v.Activity}, pending {v.UpcallPending}");
            DescribeRegisters(text, v);
            DescribeStack(text, v);
            v.Trace.Describe(text);
        }
        return text.ToString();
    }

    private static void DescribeRegisters(StringBuilder text, Vcpu v)
    {
        ref VcpuRegisters r = ref v.Registers;
        text.AppendLine(CultureInfo.InvariantCulture,
            $"  {(v.InKernel ? "kernel" : "user")} rip {r.Rip:x16} rflags {r.Rflags:x} mask {v.UpcallMask}");
        for (Gpr register = Gpr.Rax; register <= Gpr.R15; register++)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {register.ToString().ToLowerInvariant(),-3} {r[register]:x16}");
            if (((int)register & 3) == 3)
            {
                text.AppendLine();
            }
        }
        text.AppendLine(CultureInfo.InvariantCulture,
            $"  fs {r.FsBase:x16} gs {r.GsBase:x16} other gs {v.OtherGsBase:x16} cr2 {v.Cr2:x16}");
        text.AppendLine(CultureInfo.InvariantCulture,
            $"  kernel root {v.Cpu.KernelRoot:x} user root {v.Cpu.UserRoot:x} kernel sp {v.KernelSp:x16}");
        text.Append("  cs ss ds es fs gs");
        foreach (SegmentRegister s in (ReadOnlySpan<SegmentRegister>)
            [SegmentRegister.Cs, SegmentRegister.Ss, SegmentRegister.Ds, SegmentRegister.Es, SegmentRegister.Fs,
                SegmentRegister.Gs])
        {
            text.Append(CultureInfo.InvariantCulture, $" {r.Selectors[(int)s]:x4}");
        }
        text.AppendLine();
    }

    private static void DescribeStack(StringBuilder text, Vcpu v)
    {
        Span<ulong> words = stackalloc ulong[StackWords];
        ulong sp = v.Registers[Gpr.Rsp] & ~7UL;
        if (!v.Cpu.TryRead(sp, MemoryMarshal.AsBytes(words), out _))
        {
            text.AppendLine("  the stack cannot be read");
            return;
        }
        text.AppendLine("  stack:");
        for (int i = 0; i < words.Length; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {words[i]:x16}");
            if ((i & 3) == 3)
            {
                text.AppendLine();
            }
        }
    }
}
