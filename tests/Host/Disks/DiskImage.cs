using System;
using System.Diagnostics;
using System.IO;
using Xunit;

namespace Ryokan.Host.Tests.Disks;

/// <summary>Images of the tests, made and judged by QEMU's own tool (Debian: qemu-utils).</summary>
internal static class DiskImage
{
    public static string Run(string program, params string[] arguments) => RunWith([0], program, arguments);

    /// <summary>Runs a program that has to end with one of some statuses.</summary>
    public static string RunWith(int[] statuses, string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(Array.IndexOf(statuses, process.ExitCode) >= 0, $"{program} {string.Join(' ', arguments)}: {output}");
        return output;
    }

    public static string Create(HostUnderTest host, string name, string format, string size)
    {
        string path = host.Write(name, []);
        File.Delete(path);
        Run("qemu-img", "create", "-q", "-f", format, path, size);
        return path;
    }

    public static void Check(string path) => Run("qemu-img", "check", "-q", "-f", "qcow2", path);

    /// <summary>The disk's contents as a raw file, in a folder or beside the image.</summary>
    public static string AsRaw(string path, string format, string? folder = null)
    {
        if (format == "raw")
        {
            return path;
        }
        string raw = Path.Combine(folder ?? Path.GetDirectoryName(path)!, Path.GetFileName(path) + ".raw");
        File.Delete(raw);
        Run("qemu-img", "convert", "-f", format, "-O", "raw", path, raw);
        return raw;
    }
}
