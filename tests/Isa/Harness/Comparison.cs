using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>One thing in which two runs of a case differ.</summary>
/// <param name="Area">what kind of state: end, rip, gpr, flags, x87, sse, avx, avx512, opmask, memory</param>
public readonly record struct Difference(string Area, string Text);

/// <summary>Compares the end of a case on the host with its end elsewhere.</summary>
public static class Comparison
{
    /// <summary>
    /// Flags that a ring-3 program owns. IF and IOPL are the monitor's; RF shows in the host's signal frame and
    /// nowhere else.
    /// </summary>
    public const Rflags ComparedFlags = Rflags.Arithmetic | Rflags.TF | Rflags.DF | Rflags.NT | Rflags.AC | Rflags.ID;

    /// <param name="host">the run that is right by definition</param>
    public static List<Difference> Compare(
        TestCase test, RunResult host, ICaseRunner hostSide, RunResult other, ICaseRunner otherSide)
    {
        var differences = new List<Difference>();
        if (!IsOtherFaultOfSha(test, host, other))
        {
            CompareEnd(host, other, differences);
        }
        if (host.Kind != EndKind.Exception || other.Kind != EndKind.Exception)
        {
            return differences;
        }
        CompareIntegers(test, host, other, otherSide.KeepsDeadFlags, differences);
        CompareVectors(host, other, test.InstructionAt(host.State.Rip) ?? default, differences);
        foreach (int frame in test.Layout.Frames)
        {
            CompareFrame(test.Layout, frame, hostSide.Frame(frame), otherSide.Frame(frame), differences);
        }
        return differences;
    }

    private static void CompareEnd(RunResult host, RunResult other, List<Difference> differences)
    {
        string expected = DescribeEnd(host);
        string actual = DescribeEnd(other);
        if (expected != actual)
        {
            differences.Add(new Difference("end", $"ends with {actual}, on the host with {expected}"));
        }
    }

    /// <summary>
    /// A misaligned operand on an inaccessible page is both #GP and #PF. AMD's processors raise #PF first for the SHA
    /// instructions, and #GP first for all others, as Intel's do for all.
    /// </summary>
    private static bool IsOtherFaultOfSha(TestCase test, RunResult host, RunResult other) =>
        host.Vector == ExceptionVector.PageFault && host.Cr2 % 16 != 0
        && other.Vector == ExceptionVector.GeneralProtection && other.ErrorCode == 0
        && test.InstructionAt(host.State.Rip) is { } last
        && last.Code.CpuidFeatures().Contains(CpuidFeature.SHA);

    private static string DescribeEnd(RunResult run) => run.Kind switch
    {
        EndKind.Timeout => "a timeout",
        EndKind.Other => run.Detail,
        _ => run.Vector switch
        {
            ExceptionVector.PageFault =>
                $"#PF {(PageFaultError)run.ErrorCode} at {run.Cr2:x}",
            ExceptionVector.GeneralProtection or ExceptionVector.StackFault or ExceptionVector.SegmentNotPresent =>
                $"{run.Vector}({run.ErrorCode:x})",
            _ => run.Vector.ToString(),
        },
    };

    private static void CompareIntegers(
        TestCase test, RunResult host, RunResult other, bool exactFlags, List<Difference> differences)
    {
        bool compatibility = host.State.Compatibility != 0;
        ulong mask = compatibility ? uint.MaxValue : ulong.MaxValue;
        for (int i = 0; i < (compatibility ? 8 : 16); i++)
        {
            Check("gpr", ((Gpr)i).ToString(), host.State.Gpr[i] & mask, other.State.Gpr[i] & mask, differences);
        }
        Check("rip", "rip", host.State.Rip, other.State.Rip, differences);
        Check("base", "fs base", host.State.FsBase, other.State.FsBase, differences);
        Check("base", "gs base", host.State.GsBase, other.State.GsBase, differences);
        Rflags compared = ComparedFlags & ~test.IgnoredFlagsAt(host.State.Rip, exactFlags);
        Rflags expected = (Rflags)host.State.Rflags & compared, actual = (Rflags)other.State.Rflags & compared;
        if (expected != actual)
        {
            differences.Add(new Difference("flags", $"flags {actual}, on the host {expected} (compared: {compared})"));
        }
    }

    /// <summary>
    /// Whether a faulting MMX instruction has already reset TOP and the tags, and a faulting VCVTPS2PH has set
    /// exception flags, is each processor's own choice.
    /// </summary>
    private static void CompareVectors(
        RunResult host, RunResult other, in Instruction last, List<Difference> differences)
    {
        CpuState expected = host.State, actual = other.State;
        expected.Normalize();
        actual.Normalize();
        if (host.Vector == ExceptionVector.PageFault && last.IsVsib && last.Op0Kind == OpKind.Register)
        {
            ForgetAboveVector(last.Op0Register, ref expected);
            ForgetAboveVector(last.Op0Register, ref actual);
        }
        bool mmx = last.Code.CpuidFeatures().Contains(CpuidFeature.MMX)
            || last.Op0Register.IsMM() || last.Op1Register.IsMM();
        if (!mmx)
        {
            CompareX87(ref expected, ref actual, differences);
        }
        uint mxcsr = last.Mnemonic == Mnemonic.Vcvtps2ph ? ~0x3fu : ~0u;
        Check("sse", "mxcsr", expected.Mxcsr & mxcsr, actual.Mxcsr & mxcsr, differences);
        int registers = host.State.Compatibility != 0 ? 8 : 16;
        for (int i = 0; i < registers; i++)
        {
            Check("sse", $"xmm{i}", expected.Xmm(i), actual.Xmm(i), differences);
            Check("avx", $"ymm{i}[255:128]", expected.YmmHigh(i), actual.YmmHigh(i), differences);
        }
        if (XsaveArea.HasAvx512)
        {
            CompareAvx512(ref expected, ref actual, registers, differences);
        }
    }

    /// <summary>
    /// A gather that faults behind its first elements has zeroed what is above its vector on AMD's processors; by Intel's
    /// manual that is the last thing it does.
    /// </summary>
    private static void ForgetAboveVector(Register register, ref CpuState state)
    {
        int n = (register - Register.XMM0) % 32;
        int bytes = register.GetSize();
        if (n >= 16)
        {
            state.HighZmm(n)[bytes..].Clear();
            return;
        }
        if (bytes == 16)
        {
            state.YmmHigh(n).Clear();
        }
        if (bytes < 64 && XsaveArea.HasAvx512)
        {
            state.ZmmHigh(n).Clear();
        }
    }

    /// <param name="registers">vector registers of the mode without EVEX; 64-bit code has twice as many with it</param>
    private static void CompareAvx512(
        ref CpuState expected, ref CpuState actual, int registers, List<Difference> differences)
    {
        for (int i = 0; i < registers; i++)
        {
            Check("avx512", $"zmm{i}[511:256]", expected.ZmmHigh(i), actual.ZmmHigh(i), differences);
        }
        for (int i = 16; i < 2 * registers; i++)
        {
            Check("avx512", $"zmm{i}", expected.HighZmm(i), actual.HighZmm(i), differences);
        }
        for (int i = 0; i < 8; i++)
        {
            Check("opmask", $"k{i}", expected.Opmasks[i], actual.Opmasks[i], differences);
        }
    }

    private static void CompareX87(ref CpuState expected, ref CpuState actual, List<Difference> differences)
    {
        Check("x87", "fcw", expected.Fcw, actual.Fcw, differences);
        Check("x87", "fsw", expected.Fsw, actual.Fsw, differences);
        byte expectedTags = expected.Vectors[XsaveArea.AbridgedFtw], actualTags = actual.Vectors[XsaveArea.AbridgedFtw];
        Check("x87", "tags in use", expectedTags, actualTags, differences);
        for (int i = 0; i < 8; i++)
        {
            Check("x87", $"st{i}", expected.St(i), actual.St(i), differences);
        }
    }

    private static void Check(string area, string name, ulong expected, ulong actual, List<Difference> differences)
    {
        if (expected != actual)
        {
            differences.Add(new Difference(area, $"{name} {actual:x}, on the host {expected:x}"));
        }
    }

    private static void Check(
        string area, string name, ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual, List<Difference> differences)
    {
        if (!expected.SequenceEqual(actual))
        {
            differences.Add(new Difference(area, $"{name} {Hex(actual)}, on the host {Hex(expected)}"));
        }
    }

    /// <summary>As one number, highest byte first, the way the manual draws registers.</summary>
    private static string Hex(ReadOnlySpan<byte> littleEndian)
    {
        byte[] bytes = littleEndian.ToArray();
        Array.Reverse(bytes);
        return Convert.ToHexStringLower(bytes);
    }

    private static void CompareFrame(
        AddressLayout layout, int frame, ReadOnlySpan<byte> host, ReadOnlySpan<byte> other, List<Difference> differences)
    {
        int at = host.CommonPrefixLength(other);
        if (at == host.Length)
        {
            return;
        }
        ulong va = 0;
        foreach (PageMapping page in layout.Pages)
        {
            if (page.Frame == frame)
            {
                va = page.Va;
                break;
            }
        }
        int n = Math.Min(32, host.Length - at);
        string where = (va + (ulong)at).ToString("x", CultureInfo.InvariantCulture);
        string actual = Convert.ToHexStringLower(other.Slice(at, n)), expected = Convert.ToHexStringLower(host.Slice(at, n));
        differences.Add(new Difference("memory", $"bytes at {where} {actual}, on the host {expected}"));
    }
}
