using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>Guests from creation to their end, by way of xm alone.</summary>
public sealed partial class LifeCycleTests : IDisposable
{
    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void ConsoleOfCreateShowsTheFirstByteAndTheCleanEndIsStatusZero()
    {
        Outcome outcome = _host.Xm("create", "-c", "-q", _host.Config("tour", "tour"));
        Assert.True(outcome.Status == 0, outcome.Errors + outcome.Output);
        Assert.Equal("", outcome.Errors);
        Assert.Equal(outcome.Output, _host.ConsoleLog("tour"));
        Assert.Contains("ryokan guest: user space is up", outcome.Output, StringComparison.Ordinal);
        Assert.Contains("/sys/hypervisor/type: xen", outcome.Output, StringComparison.Ordinal);
        _host.AssertNothingLeft();
        Assert.Contains("tour: poweroff", _host.Must("dmesg"), StringComparison.Ordinal);
    }

    [Fact]
    public void GuestRunsOnAfterCreateAndIsListedPausedAndEnded()
    {
        _host.Must("create", _host.Config("idle", "stay", "vcpus = 2"));
        _host.AwaitConsole("idle", "user space is up");
        string[] lines = _host.Must("list").Split('\n');
        Assert.Equal("Name                                        ID   Mem VCPUs\tState\tTime(s)", lines[0]);
        Assert.Matches(ListRow(), lines[1]);
        Assert.Equal("1", _host.Must("domid", "idle").Trim());
        Assert.Equal("idle", _host.Must("domname", "1").Trim());
        Assert.Matches(@"^idle +1 +0:0\d:\d\d$", _host.Must("uptime", "idle").Split('\n')[1]);
        string[] vcpus = _host.Must("vcpu-list").TrimEnd().Split('\n');
        Assert.Equal(3, vcpus.Length);
        Assert.Matches(@"^idle +1 +1 +\d+ +(r--|-b-) +\d+\.\d  all / all$", vcpus[2]);

        _host.Must("pause", "idle");
        Assert.Equal("--p---", _host.List()[0][4]);
        double before = CpuSeconds();
        System.Threading.Thread.Sleep(500);
        Assert.Equal(before, CpuSeconds());
        _host.Must("unpause", "1");
        HostUnderTest.Await("the guest to run again", () => _host.List()[0][4] is "-b----" or "r-----");

        _host.Must("destroy", "idle");
        _host.AssertNothingLeft();
        Assert.Equal("there is no domain 'idle'", _host.MustFail("destroy", "idle"));
    }

    private double CpuSeconds() =>
        double.Parse(_host.List()[0][5], System.Globalization.CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^idle {36} {5}1   192     2     (r-----|-b----)  {5,7}\d+\.\d$")]
    private static partial Regex ListRow();

    [Fact]
    public void ShutdownAndRebootGoThroughTheGuest()
    {
        _host.Must("create", _host.Config("polite", "stay"));
        _host.AwaitConsole("polite", "user space is up");
        _host.Must("reboot", "-w", "polite");
        HostUnderTest.Await("a new domain", () => _host.List() is [["polite", "2", ..]]);
        HostUnderTest.Await("the second boot", () => UpCount("polite") == 2);
        _host.Must("shutdown", "-w", "polite");
        _host.AssertNothingLeft();
        string messages = _host.Must("dmesg");
        Assert.Contains("d1 polite: reboot", messages, StringComparison.Ordinal);
        Assert.Contains("d2 polite: poweroff", messages, StringComparison.Ordinal);
    }

    private int UpCount(string name) =>
        _host.ConsoleLog(name).Split("user space is up", StringSplitOptions.None).Length - 1;

    [Fact]
    public async System.Threading.Tasks.Task CrashIsReportedAndNotZero()
    {
        using Process create = _host.Start("create", "-c", "-q", _host.Config("crash", "stay"));
        System.Threading.Tasks.Task<string> errors = create.StandardError.ReadToEndAsync();
        System.Threading.Tasks.Task<string> output = create.StandardOutput.ReadToEndAsync();
        _host.AwaitConsole("crash", "user space is up");
        _host.Must("sysrq", "crash", "c");
        Assert.True(create.WaitForExit(60_000));
        Assert.Equal(2, create.ExitCode);
        Assert.Contains("domain 'crash' (id 1) crashed", await errors, StringComparison.Ordinal);
        Assert.Contains("sysrq", await output, StringComparison.OrdinalIgnoreCase);
        _host.AssertNothingLeft();
        string report = _host.Must("dmesg");
        Assert.Contains("rip", report, StringComparison.Ordinal);
        Assert.Contains("last console output:", report, StringComparison.Ordinal);
        Assert.Contains("Kernel panic", report, StringComparison.Ordinal);
        _host.Must("dmesg", "-c");
        Assert.Equal("", _host.Must("dmesg"));
    }

    [Fact]
    public void PreservedAndRenamedGuestsStandUntilTheyAreDestroyed()
    {
        _host.Must("create", _host.Config("keep", "off", "on_poweroff = 'preserve'"));
        HostUnderTest.Await("the end", () => _host.List() is [["keep", "1", _, _, "---s--", ..]]);
        Assert.Equal("domain 'keep' has stopped", _host.MustFail("pause", "keep"));
        _host.Must("destroy", "keep");
        _host.AssertNothingLeft();

        _host.Must("create", _host.Config("again", "stay", "on_crash = 'rename-restart'"));
        _host.AwaitConsole("again", "user space is up");
        _host.Must("sysrq", "again", "c");
        HostUnderTest.Await("the restart", () => _host.List() is [["again-1", "2", _, _, "---sc-", ..], ["again", "3", ..]]);
        _host.Must("destroy", "again-1");
        _host.Must("destroy", "again");
        _host.AssertNothingLeft();
    }

    [Fact]
    public void CreatePausedWaits()
    {
        _host.Must("create", "-p", "-q", _host.Config("late", "off"));
        Assert.Equal("--p---", Assert.Single(_host.List())[4]);
        System.Threading.Thread.Sleep(300);
        Assert.Equal("", _host.ConsoleLog("late"));
        _host.Must("unpause", "late");
        HostUnderTest.Await("the end", () => _host.List().Count == 0);
        Assert.Contains("user space is up", _host.ConsoleLog("late"), StringComparison.Ordinal);
    }

    [Fact]
    public void SeveralClientsShareAConsole()
    {
        _host.Must("create", "-q", _host.Config("shell", "shell"));
        _host.AwaitConsole("shell", "guest:");
        using Process first = _host.Start("console", "shell");
        using Process second = _host.Start("console", "shell");
        List<Process> clients = [first, second];
        List<System.Threading.Tasks.Task<string>> outputs = [.. clients.Select(c => c.StandardOutput.ReadToEndAsync())];
        Attach("shell", second, 7);
        Attach("shell", first, 8);
        Type(first, "echo one $((40 + 2))");
        _host.AwaitConsole("shell", "one 42");
        Type(second, "echo two $((50 + 4)); exit");
        foreach (Process client in clients)
        {
            Assert.True(client.WaitForExit(60_000));
            Assert.Equal(0, client.ExitCode);
        }
        Assert.All(outputs, o => Assert.Contains("one 42", o.Result, StringComparison.Ordinal));
        Assert.All(outputs, o => Assert.Contains("two 54", o.Result, StringComparison.Ordinal));
        HostUnderTest.Await("the end", () => _host.List().Count == 0);
    }

    private static void Type(Process client, string line)
    {
        client.StandardInput.Write(line + "\n");
        client.StandardInput.Flush();
    }

    /// <summary>What a client types gets to the guest only after the client gets what the guest prints.</summary>
    private void Attach(string name, Process client, int number)
    {
        Type(client, $"echo here $(({number} * 11))");
        _host.AwaitConsole(name, $"here {number * 11}");
    }

    [Fact]
    public async System.Threading.Tasks.Task GuestsOutliveTheDaemon()
    {
        using Process create = _host.Start("create", "-c", "-q", _host.Config("robust", "shell"));
        System.Threading.Tasks.Task<string> output = create.StandardOutput.ReadToEndAsync();
        _host.AwaitConsole("robust", "guest:");
        int daemon = _host.DaemonProcessId;
        using (Process process = Process.GetProcessById(daemon))
        {
            process.Kill();
            process.WaitForExit();
        }
        Assert.Equal("robust", Assert.Single(_host.List())[0]);
        Assert.NotEqual(daemon, _host.DaemonProcessId);
        Type(create, "echo still $((1 + 1)) here; exit");
        Assert.True(create.WaitForExit(60_000));
        Assert.Equal(0, create.ExitCode);
        Assert.Contains("still 2 here", await output, StringComparison.Ordinal);
        _host.AssertNothingLeft();
    }

    [Fact]
    public void EndWithoutADaemonIsDealtWithByTheNext()
    {
        _host.Must("create", "-q", _host.Config("alone", "shell", "on_poweroff = 'restart'"));
        _host.AwaitConsole("alone", "guest:");
        using Process console = _host.Start("console", "alone");
        Attach("alone", console, 3);
        using (Process daemon = Process.GetProcessById(_host.DaemonProcessId))
        {
            daemon.Kill();
            daemon.WaitForExit();
        }
        Type(console, "exit");
        Assert.True(console.WaitForExit(60_000));
        HostUnderTest.Await("the process to end", () => _host.DomainProcesses().Count == 0);
        HostUnderTest.Await("the restart", () => _host.List() is [["alone", "2", ..]]);
        _host.Must("destroy", "alone");
        _host.AssertNothingLeft();
    }

    [Fact]
    public async System.Threading.Tasks.Task KilledProcessIsACrash()
    {
        using Process create = _host.Start("create", "-c", "-q", _host.Config("victim", "stay"));
        System.Threading.Tasks.Task<string> errors = create.StandardError.ReadToEndAsync();
        _ = create.StandardOutput.ReadToEndAsync();
        _host.AwaitConsole("victim", "user space is up");
        using (Process process = Process.GetProcessById(Assert.Single(_host.DomainProcesses())))
        {
            process.Kill();
        }
        Assert.True(create.WaitForExit(60_000));
        Assert.Equal(2, create.ExitCode);
        Assert.Contains("its process ended without saying why", await errors, StringComparison.Ordinal);
        _host.AssertNothingLeft();
    }

    [Fact]
    public void EndlessCrashesAreNotRestartedForEver()
    {
        string config = _host.Config("loop", "off", "on_crash = 'restart'");
        // A kernel that finds no init panics at once.
        Outcome outcome = _host.Xm("create", "-c", "-q", config, "extra=console=hvc0 quiet rdinit=/none init=/none");
        Assert.Equal(2, outcome.Status);
        Assert.Contains("6 times in a row; not restarted again", outcome.Errors, StringComparison.Ordinal);
        _host.AssertNothingLeft();
    }

    /// <summary>A client that goes away does not disturb the guest.</summary>
    [Fact]
    public void BrokenOutputLeavesTheGuestAlone()
    {
        using Process create = _host.Start("create", "-c", "-q", _host.Config("pipe", "shell"));
        _host.AwaitConsole("pipe", "guest:");
        create.StandardOutput.Close();
        using Process console = _host.Start("console", "pipe");
        Type(console, "echo alive $((2 * 3))");
        _host.AwaitConsole("pipe", "alive 6");
        Assert.True(create.WaitForExit(10_000));
        Assert.Single(_host.List());
        console.Kill();
    }
}
