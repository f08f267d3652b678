using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>Text for people: a case's code and start, and in what two runs differ.</summary>
public static class CaseReport
{
    private const int MaxDifferences = 12;

    public static string Describe(TestCase test, IReadOnlyList<Difference> differences)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"{test.Name} ({(test.KernelMode ? "kernel" : "user")} mode)");
        text.AppendLine($"repeat: ISA_REPEAT=\"{test.Name}\" dotnet test tests/Isa, or: isa repeat \"{test.Name}\"");
        Disassemble(test, text);
        Initial(test, text);
        foreach (Difference d in differences.Take(MaxDifferences))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    {d.Area}: {d.Text}");
        }
        if (differences.Count > MaxDifferences)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    and {differences.Count - MaxDifferences} more");
        }
        return text.ToString();
    }

    private static void Disassemble(TestCase test, StringBuilder text)
    {
        var formatter = new IntelFormatter();
        formatter.Options.SpaceAfterOperandSeparator = true;
        formatter.Options.FirstOperandCharIndex = 10;
        var output = new StringOutput();
        foreach (PlacedInstruction placed in test.Instructions)
        {
            Instruction instruction = placed.Instruction;
            instruction.IP = placed.Ip;
            instruction.Length = placed.Length;
            formatter.Format(instruction, output);
            byte[] bytes = Bytes(test, placed.Ip, placed.Length);
            text.AppendLine(CultureInfo.InvariantCulture,
                $"  {placed.Ip:x8}  {Convert.ToHexStringLower(bytes),-30} {output.ToStringAndReset()}");
        }
    }

    private static byte[] Bytes(TestCase test, ulong va, int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            bytes[i] = test.Layout.TryLocate(va + (ulong)i, out int frame, out int offset)
                ? test.FrameContent(frame)[offset] : (byte)0;
        }
        return bytes;
    }

    private static void Initial(TestCase test, StringBuilder text)
    {
        CpuState s = test.Initial;
        for (int i = 0; i < 16; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {((Gpr)i).ToString().ToLowerInvariant()}={s.Gpr[i]:x}");
            text.Append(i % 4 == 3 ? "\n" : "");
        }
        text.AppendLine(CultureInfo.InvariantCulture,
            $"  rflags={s.Rflags:x} ({(Rflags)s.Rflags}) fs={s.FsBase:x} gs={s.GsBase:x} fcw={s.Fcw:x} fsw={s.Fsw:x} mxcsr={s.Mxcsr:x}");
    }

    /// <summary>
    /// What failures with one cause have in common: the instructions of the reduced case that are no plain
    /// loads, and the kind of state that differs first.
    /// </summary>
    public static string ClassOf(TestCase test, IReadOnlyList<Difference> differences)
    {
        IEnumerable<string> codes = test.Instructions.Select(p => p.Instruction.Code)
            .Where(c => c is not (Code.Ud2 or Code.Mov_r64_imm64 or Code.Mov_r32_imm32)).Select(c => c.ToString());
        string area = differences.Count == 0 ? "none" : differences[0].Area;
        return $"{area}: {string.Join(" ", codes)}";
    }
}
