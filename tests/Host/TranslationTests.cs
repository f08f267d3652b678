using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>What a guest's processor was translated to is there for the next guest.</summary>
public sealed class TranslationTests : IDisposable
{
    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    private string Folder => Path.Combine(_host.State, "translations");

    private long StoreBytes => new FileInfo(Path.Combine(Folder, "store")) is { Exists: true } file ? file.Length : 0;

    private string[] Files => [.. Directory.GetFiles(Folder).Select(f => Path.GetFileName(f)!).Order()];

    private void RunGuest()
    {
        Outcome outcome = _host.Xm("create", "-c", "-q", _host.Config("g", "tour"));
        Assert.True(outcome.Status == 0, outcome.Errors + outcome.Output);
        Assert.Contains("/sys/hypervisor/type: xen", outcome.Output, StringComparison.Ordinal);
    }

    private void AwaitQuiet() => HostUnderTest.Await("the folder of translations to have nothing but the store",
        () => Files.SequenceEqual((string[])["errors.log", "store"]));

    [Fact]
    public void TheSecondGuestUsesAndHardlyAddsToWhatTheFirstLeft()
    {
        RunGuest();
        AwaitQuiet();
        long first = StoreBytes;
        Assert.InRange(first, 10 << 20, 100 << 20);

        RunGuest();
        AwaitQuiet();
        Assert.InRange(StoreBytes, first, first + first / 10);
        Assert.Equal("", File.ReadAllText(Path.Combine(Folder, "errors.log")));
    }

    [Fact]
    public void WhatAKilledDomainLeftIsTranslatedByTheNextDaemon()
    {
        _host.Must("create", _host.Config("g", "stay"));
        _host.AwaitConsole("g", "user space is up");
        Kill(_host.DaemonProcessId);
        Kill(Assert.Single(_host.DomainProcesses()));
        Assert.Contains(Files, f => f.EndsWith(".journal", StringComparison.Ordinal));
        Assert.Equal(0, StoreBytes);

        Assert.Empty(_host.List());
        AwaitQuiet();
        Assert.InRange(StoreBytes, 1 << 20, 100 << 20);
        RunGuest();
    }

    private static void Kill(int pid)
    {
        using Process process = Process.GetProcessById(pid);
        process.Kill();
        process.WaitForExit();
    }

    [Fact]
    public void AStoreThatIsNoneIsReplacedAndOneThatCannotBeMadeHarmsNobody()
    {
        Directory.CreateDirectory(Folder);
        File.WriteAllText(Path.Combine(Folder, "store"), "not a store");
        RunGuest();
        HostUnderTest.Await("a store", () => StoreBytes > 10 << 20);
        AwaitQuiet();

        File.Delete(Path.Combine(Folder, "store"));
        Directory.CreateDirectory(Path.Combine(Folder, "store"));
        RunGuest();
        HostUnderTest.Await("a word in the log",
            () => File.ReadAllText(Path.Combine(Folder, "errors.log")).Contains("no translations added", StringComparison.Ordinal));
        HostUnderTest.Await("its journal to go", () => Files.SequenceEqual((string[])["errors.log"]));
        RunGuest();
    }
}
