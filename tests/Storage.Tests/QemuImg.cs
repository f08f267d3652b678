using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using Xunit;

namespace Ryokan.Storage.Tests;

/// <summary>QEMU's own tools (Debian: qemu-utils): they make images that we use and judge those that we
/// changed.</summary>
internal static class QemuImg
{
    /// <summary>Runs qemu-img; anything but status 0 fails the test.</summary>
    public static string Run(params string[] arguments)
    {
        (int status, string output) = Try("qemu-img", arguments);
        Assert.True(status == 0, $"qemu-img {string.Join(' ', arguments)}: status {status}: {output}");
        return output;
    }

    /// <summary>Runs commands of qemu-io on an image.</summary>
    public static void Io(string image, string format, params string[] commands)
    {
        string[] arguments = ["-f", format, .. commands.SelectMany(c => new[] { "-c", c }), image];
        (int status, string output) = Try("qemu-io", arguments);
        Assert.True(status == 0 && !output.Contains("failed", StringComparison.Ordinal), output);
    }

    /// <summary>The image is clean: no errors, no leaks.</summary>
    public static void Check(string image) => Run("check", "-f", "qcow2", image);

    /// <summary>The image has no errors; clusters that nobody uses may be left (status 3).</summary>
    public static void CheckButForLeaks(string image)
    {
        (int status, string output) = Try("qemu-img", ["check", "-f", "qcow2", image]);
        Assert.True(status is 0 or 3, output);
    }

    /// <summary>The disk in an image has these contents.</summary>
    public static void Compare(string image, ReadOnlySpan<byte> contents)
    {
        string raw = image + ".expected";
        File.WriteAllBytes(raw, contents);
        Run("compare", "-f", "qcow2", "-F", "raw", image, raw);
        File.Delete(raw);
    }

    public static (int Status, string Output) Try(string program, string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        System.Threading.Tasks.Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }
}
