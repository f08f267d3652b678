using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>What a command did.</summary>
internal readonly record struct Outcome(int Status, string Output, string Errors);

/// <summary>
/// A set of run-time and state directories of its own, used through the published <c>xm</c> as a user would:
/// black box. Ends everything that it started.
/// </summary>
internal sealed class HostUnderTest : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    /// <summary>Short, because unix socket paths are.</summary>
    private readonly string _root = Directory.CreateTempSubdirectory("ryh-").FullName;

    public string Runtime => Path.Combine(_root, "run");
    public string State => Path.Combine(_root, "state");

    public static string Kernel => Existing("RYOKAN_KERNEL", "vmlinuz");
    public static string Initramfs => Existing("RYOKAN_INITRAMFS", "initramfs.gz");

    /// <summary>A kernel with drivers for everything that a screen has.</summary>
    public static string ScreenKernel => Existing("RYOKAN_SCREEN_KERNEL", "screen-kernel/vmlinuz");

    /// <summary>One of the guests that tests/Guests/images.sh makes.</summary>
    public static string GuestImage(string flavour)
    {
        string path = Path.Combine(Path.GetDirectoryName(Initramfs)!, "guests", flavour + ".cpio");
        Assert.True(File.Exists(path), $"{path} is missing: run these tests through ./test");
        return path;
    }

    private static string Existing(string variable, string name)
    {
        string path = Environment.GetEnvironmentVariable(variable) ?? Path.Combine(
            Environment.GetEnvironmentVariable("RYOKAN_CACHE") ?? "/var/cache/ryokan", name);
        Assert.True(File.Exists(path), $"{path} is missing: run these tests through ./test");
        return path;
    }

    /// <summary>Folder of the sources.</summary>
    public static string Checkout { get; } = FindCheckout();

    private static string Bin { get; } = Path.Combine(Checkout, "artifacts/bin");

    private static string FindCheckout()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at != null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "Ryokan.slnx")))
            {
                return at.FullName;
            }
        }
        throw new InvalidOperationException("no checkout above the tests");
    }

    /// <summary>Writes a description and returns its path.</summary>
    public string Config(string name, string mode, params string[] lines)
    {
        string path = Path.Combine(_root, name + ".cfg");
        File.WriteAllText(path, $"""
            name = "{name}"
            kernel = "{Kernel}"
            ramdisk = "{Initramfs}"
            extra = "console=hvc0 quiet sysrq_always_enabled mode={mode}"
            memory = 192
            {string.Join('\n', lines)}
            """);
        return path;
    }

    public string Write(string name, byte[] content)
    {
        string path = Path.Combine(_root, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    /// <summary>
    /// Network namespace that commands, and so the daemon and the domains, run in; null: the test's.
    /// </summary>
    public string? NetworkNamespace { get; init; }

    public Process Start(params string[] arguments)
    {
        string program = Path.Combine(Bin, "xm");
        Assert.True(File.Exists(program), $"{program} is missing: eng/publish.sh makes it");
        return StartProgram(program, arguments);
    }

    /// <summary>Starts any program where commands run.</summary>
    public Process StartProgram(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(NetworkNamespace == null ? program : "ip")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _root,
        };
        string[] prefix = NetworkNamespace == null ? [] : ["netns", "exec", NetworkNamespace, program];
        foreach (string argument in (IEnumerable<string>)[.. prefix, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }
        start.Environment["RYOKAN_RUNTIME_DIR"] = Runtime;
        start.Environment["RYOKAN_STATE_DIR"] = State;
        return Process.Start(start)!;
    }

    /// <summary>Runs a command to its end, with nothing on stdin.</summary>
    public Outcome Xm(params string[] arguments) => XmWithInput("", arguments);

    public Outcome XmWithInput(string input, params string[] arguments) => Xm(Patience, input, arguments);

    private Outcome Xm(TimeSpan patience, string input, string[] arguments)
    {
        using Process process = Start(arguments);
        return End(process, patience, input, $"xm {string.Join(' ', arguments)}");
    }

    /// <summary>Gives a process its input and waits for its end.</summary>
    public static Outcome End(Process process, TimeSpan patience, string input, string what)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        if (!process.WaitForExit(patience))
        {
            process.Kill();
            Assert.Fail($"{what} does not end: {output.Result}\n{errors.Result}");
        }
        return new Outcome(process.ExitCode, output.Result, errors.Result);
    }

    /// <summary>Runs a command that has to succeed; returns what it printed.</summary>
    public string Must(params string[] arguments) => MustWithin(Patience, arguments);

    /// <summary>The same for a command that may take a while.</summary>
    public string MustWithin(TimeSpan patience, params string[] arguments)
    {
        Outcome outcome = Xm(patience, "", arguments);
        Assert.True(outcome.Status == 0, $"xm {string.Join(' ', arguments)}: {outcome.Errors}{outcome.Output}");
        return outcome.Output;
    }

    /// <summary>Runs a command that has to fail with one line, warnings aside; returns the line.</summary>
    public string MustFail(params string[] arguments)
    {
        Outcome outcome = Xm(arguments);
        Assert.Equal(1, outcome.Status);
        Assert.Equal("", outcome.Output);
        string[] lines = [.. outcome.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Where(l => !l.StartsWith("Parsing config", StringComparison.Ordinal)
                && !l.StartsWith("xm: warning: ", StringComparison.Ordinal))];
        string line = Assert.Single(lines);
        Assert.StartsWith("xm: ", line, StringComparison.Ordinal);
        return line["xm: ".Length..];
    }

    /// <summary>Waits until a guest's console log contains a text.</summary>
    public void AwaitConsole(string name, string text) => Await($"'{text}' on the console of {name}",
        () => ConsoleLog(name).Contains(text, StringComparison.Ordinal));

    public string ConsoleLog(string name)
    {
        string path = Path.Combine(State, $"guest-{name}.log");
        if (!File.Exists(path))
        {
            return "";
        }
        return ReadShared(path);
    }

    /// <summary>Reads a file that somebody may have locked or be writing to.</summary>
    private static string ReadShared(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using StreamReader reader = new(file, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    public static void Await(string what, Func<bool> condition)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < Patience, $"waited for {what} in vain");
            Thread.Sleep(20);
        }
    }

    /// <summary>The rows of xm list, split into words, without the heading.</summary>
    public IReadOnlyList<string[]> List() =>
        [.. Must("list").Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1)
            .Select(l => l.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries))];

    public int DaemonProcessId => int.Parse(ReadShared(Path.Combine(Runtime, "ryokand.lock")));

    /// <summary>Processes of domains and what helps them, whoever started them.</summary>
    public IReadOnlyList<int> DomainProcesses() => ProcessesNaming(Runtime);

    private static List<int> ProcessesNaming(string directoryName)
    {
        List<int> found = [];
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            try
            {
                if (int.TryParse(Path.GetFileName(directory), out int pid)
                    && File.ReadAllText(Path.Combine(directory, "cmdline")).Contains(directoryName, StringComparison.Ordinal))
                {
                    found.Add(pid);
                }
            }
            catch (IOException)
            {
                // It ended meanwhile.
            }
        }
        return found;
    }

    public void AssertNothingLeft()
    {
        Assert.Empty(List());
        Assert.Empty(DomainProcesses());
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(Runtime, "domains")));
    }

    public void Dispose()
    {
        foreach (int pid in (IEnumerable<int>)[.. File.Exists(Path.Combine(Runtime, "ryokand.lock"))
            ? [DaemonProcessId] : Array.Empty<int>(), .. ProcessesNaming(_root)])
        {
            try
            {
                using Process process = Process.GetProcessById(pid);
                process.Kill();
                process.WaitForExit();
            }
            catch (ArgumentException)
            {
                // Gone already.
            }
        }
        Directory.Delete(_root, recursive: true);
    }
}
