using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;

namespace Ryokan.Images;

/// <summary>Runs programs of the host to their end.</summary>
internal static class HostProgram
{
    /// <summary>What a program prints.</summary>
    /// <exception cref="ImageException">it is not there or fails; with what it said last</exception>
    public static string Run(string program, IReadOnlyList<string> arguments)
    {
        using Process process = Start(program, arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output
            : throw Failure(program, process.ExitCode, LastLine(errors.Result));
    }

    /// <summary>Runs a program that takes long; each line that it says goes to a log and to the
    /// user.</summary>
    public static void RunLogged(
        string program, IReadOnlyList<string> arguments, TextWriter log, Action<string> progress)
    {
        using Process process = Start(program, arguments);
        string last = "";
        void Take(object sender, DataReceivedEventArgs line)
        {
            if (line.Data is { Length: > 0 } text)
            {
                lock (log)
                {
                    log.WriteLine(text);
                    last = text;
                }
                progress(text);
            }
        }
        process.OutputDataReceived += Take;
        process.ErrorDataReceived += Take;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.WaitForExit();
        log.Flush();
        if (process.ExitCode != 0)
        {
            throw Failure(program, process.ExitCode, last);
        }
    }

    /// <summary>Whether a program is on PATH.</summary>
    public static bool Exists(string program)
    {
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'))
        {
            if (folder.Length > 0 && File.Exists(Path.Combine(folder, program)))
            {
                return true;
            }
        }
        // Where an ordinary user's PATH does not go.
        return File.Exists(Path.Combine("/usr/sbin", program)) || File.Exists(Path.Combine("/sbin", program));
    }

    private static Process Start(string program, IReadOnlyList<string> arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string path = start.Environment.TryGetValue("PATH", out string? found) ? found ?? "" : "";
        start.Environment["PATH"] = $"{path}:/usr/sbin:/sbin";
        start.Environment["LC_ALL"] = "C";
        try
        {
            Process process = Process.Start(start)!;
            process.StandardInput.Close();
            return process;
        }
        catch (Win32Exception e)
        {
            throw new ImageException($"{program}: {e.Message}");
        }
    }

    private static string LastLine(string text) => text.TrimEnd().Split('\n')[^1];

    private static ImageException Failure(string program, int status, string said) =>
        new($"{program} failed with status {status}{(said.Length > 0 ? $": {said}" : "")}");
}
