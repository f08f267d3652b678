using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Ryokan.Xen.Abi.Tests;

/// <summary>
/// Evaluates C expressions against the installed Xen headers: one small program is compiled and run.
/// Anything that is missing ends in one exception with one clear line.
/// </summary>
internal static class CHeaders
{
    /// <summary>The folder of xen.h: eng/setup.sh unpacks the headers where they are not installed.</summary>
    private static readonly string s_headers =
        Environment.GetEnvironmentVariable("XEN_HEADERS") is { Length: > 0 } set ? set : "/usr/include/xen";

    private static readonly string s_missing =
        $"Xen's headers ({s_headers}/xen.h) or the C compiler are missing: run eng/setup.sh, or install the "
        + "packages libxen-dev, gcc and libc6-dev";

    private static readonly string[] s_includes =
    [
        "stdio.h", "stdint.h", "stddef.h", "string.h", "errno.h", "asm/bootparam.h",
        "xen/xen.h", "xen/memory.h", "xen/event_channel.h", "xen/sched.h", "xen/callback.h", "xen/vcpu.h",
        "xen/physdev.h", "xen/grant_table.h", "xen/version.h", "xen/features.h", "xen/elfnote.h", "xen/nmi.h",
        "xen/pmu.h", "xen/errno.h", "xen/hvm/hvm_op.h", "xen/hvm/params.h", "xen/arch-x86/cpuid.h",
        "xen/arch-x86/hvm/start_info.h", "xen/io/ring.h", "xen/io/console.h", "xen/io/xs_wire.h",
        "xen/io/xenbus.h", "xen/io/protocols.h", "xen/io/blkif.h", "xen/io/netif.h", "xen/io/fbif.h",
        "xen/io/kbdif.h",
    ];

    private static string Prologue => string.Concat(s_includes.Select(i => $"#include <{i}>\n"));

    /// <summary>
    /// Value of each expression as text: a decimal number that wraps at 64 bits, or the string itself
    /// when the expression is one.
    /// </summary>
    public static Dictionary<string, string> Evaluate(IEnumerable<string> expressions)
    {
        List<string> list = expressions.Distinct().ToList();
        using StringWriter c = new();
        c.Write(Prologue);
        c.Write("static void str(const char *s) { printf(\"%s\\n\", s); }\n");
        c.Write("static void num(unsigned long long v) { printf(\"%llu\\n\", v); }\n");
        c.Write("#define SHOW(x) _Generic((x), char *: str, const char *: str, default: num)(x)\n");
        c.Write("int main(void) {\n");
        foreach (string expression in list)
        {
            c.Write($"SHOW(({expression}));\n");
        }
        c.Write("return 0; }\n");

        string directory = Directory.CreateTempSubdirectory("ryokan-abi-").FullName;
        try
        {
            string source = Path.Combine(directory, "abi.c");
            string program = Path.Combine(directory, "abi");
            File.WriteAllText(source, c.ToString());
            Compile("-w", "-o", program, source);
            string[] lines = Run(program, []).TrimEnd('\n').Split('\n');
            return list.Zip(lines).ToDictionary(p => p.First, p => p.Second);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Names of all macros without arguments that the headers define.</summary>
    public static IReadOnlyList<string> MacroNames()
    {
        string directory = Directory.CreateTempSubdirectory("ryokan-abi-").FullName;
        try
        {
            string source = Path.Combine(directory, "macros.c");
            File.WriteAllText(source, Prologue);
            return Compile("-E", "-dM", source).Split('\n')
                .Where(l => l.StartsWith("#define ", StringComparison.Ordinal))
                .Select(l => l.Split(' ')[1])
                .Where(n => !n.Contains('(', StringComparison.Ordinal))
                .ToList();
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>C# constant in the form that <see cref="Evaluate"/> gives.</summary>
    public static string Format(object constant) => constant switch
    {
        string s => s,
        ulong u => u.ToString(CultureInfo.InvariantCulture),
        _ => unchecked((ulong)Convert.ToInt64(constant, CultureInfo.InvariantCulture))
            .ToString(CultureInfo.InvariantCulture),
    };

    private static string Compile(params string[] arguments)
    {
        if (!File.Exists(Path.Combine(s_headers, "xen.h")))
        {
            throw new InvalidOperationException(s_missing);
        }
        // The newest interface, and the parts that only tools see (XENMEM_claim_pages).
        return Run("cc",
        [
            .. arguments, "-I" + Path.GetDirectoryName(s_headers), "-D__XEN_TOOLS__",
            "-D__XEN_INTERFACE_VERSION__=0x00040e00",
        ]);
    }

    private static string Run(string program, string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        try
        {
            using Process process = Process.Start(start)!;
            System.Threading.Tasks.Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? output
                : throw new InvalidOperationException($"{program} failed: {errors.Result}");
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new InvalidOperationException(s_missing);
        }
    }
}
