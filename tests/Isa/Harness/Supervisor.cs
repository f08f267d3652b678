using System;
using System.Diagnostics;
using System.IO;
using System.Linq;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>
/// Runs a command of this program in a child. When the child dies in a case (the engine crashed), the
/// case is named and another child goes on behind it.
/// </summary>
public static class Supervisor
{
    private const int MaxCrashes = 200;

    public static int Run(string[] command, TextWriter output)
    {
        string progress = Path.GetTempFileName();
        string after = "";
        int crashes = 0, status = 0;
        while (true)
        {
            (int exitCode, string errors) = RunChild(command, progress, after);
            string last = File.ReadAllText(progress).Trim();
            if (exitCode is 0 or 1 || last.Length == 0 || ++crashes > MaxCrashes)
            {
                status |= exitCode;
                break;
            }
            output.WriteLine($"== crash (exit code {exitCode}) in: {last}");
            output.WriteLine(string.Join('\n', errors.Split('\n').Take(12)));
            (after, status) = (last, 1);
        }
        File.Delete(progress);
        output.WriteLine($"{crashes} crashes");
        return status;
    }

    private static (int ExitCode, string Errors) RunChild(string[] command, string progress, string after)
    {
        string program = Environment.ProcessPath!;
        bool host = Path.GetFileNameWithoutExtension(program) == "dotnet";
        string[] self = host ? [typeof(Program).Assembly.Location] : [];
        var info = new ProcessStartInfo(program, [.. self, .. command]) { RedirectStandardError = true };
        info.Environment["ISA_PROGRESS"] = progress;
        info.Environment["ISA_AFTER"] = after;
        info.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        using Process child = Process.Start(info)!;
        string errors = child.StandardError.ReadToEnd();
        child.WaitForExit();
        return (child.ExitCode, errors);
    }
}
