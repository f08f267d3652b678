using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Ryokan.Bench;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>Memory, vCPUs, placement and shares of a running guest; the stock kernel does its part.</summary>
public sealed class SettingsTests : IDisposable
{
    private readonly HostUnderTest _host = new();
    private GuestShell? _shell;

    public void Dispose()
    {
        _shell?.Dispose();
        _host.Dispose();
    }

    private void CreateShell(params string[] lines)
    {
        _host.Must("create", "-q", _host.Config("g", "shell", lines));
        _shell = new GuestShell(_host, "g");
    }

    private int ProcessId => int.Parse(
        Regex.Match(_host.Must("list", "-l", "g"), "\"processId\":(\\d+)").Groups[1].Value,
        CultureInfo.InvariantCulture);

    /// <summary>MiB of guest memory that the host spends.</summary>
    private static long HostMiB(int process) => ProcessMemory.Of(process).GuestRam >> 20;

    private void AwaitMemory(string mib) =>
        HostUnderTest.Await($"{mib} MiB in xm list", () => _host.List()[0][2] == mib);

    [Fact]
    public void BalloonGivesMemoryBackToTheHostAndTakesItAgain()
    {
        CreateShell("memory = 192", "maxmem = 320");
        int process = ProcessId;
        // What was used once is the host's loss until the balloon takes it.
        _shell!.Must("mkdir /t; mount -t tmpfs -o size=200m t /t");
        _shell.Must("dd if=/dev/zero of=/t/f bs=1M count=110; rm /t/f");
        Assert.InRange(HostMiB(process), 111, 200);

        _host.Must("mem-set", "g", "80");
        AwaitMemory("80");
        // The guest counts a frame as gone before the host has it back.
        HostUnderTest.Await("the host's memory", () => HostMiB(process) <= 80);

        _host.Must("mem-set", "g", "300m");
        AwaitMemory("300");
        Assert.InRange(int.Parse(_shell.Must("free -m | awk '/Mem:/ { print $2 }'")), 250, 300);
        _shell.Must("dd if=/dev/zero of=/t/f bs=1M count=120");
        Assert.StartsWith(Md5OfZeros(120), _shell.Must("md5sum /t/f; rm /t/f"), StringComparison.Ordinal);

        _host.Must("mem-set", "g", "100000k");
        _host.Must("mem-max", "g", "128");
        Assert.Equal("200 MiB is more than the domain's maximum (128 MiB)", _host.MustFail("mem-set", "g", "200"));
        Assert.StartsWith("512 MiB is more than the domain was made with", _host.MustFail("mem-max", "g", "512"),
            StringComparison.Ordinal);
        Assert.StartsWith("64 MiB is less than the memory target", _host.MustFail("mem-max", "g", "64"),
            StringComparison.Ordinal);
        Assert.StartsWith("mem-set: 'much' is not a size", _host.MustFail("mem-set", "g", "much"),
            StringComparison.Ordinal);
    }

    private static string Md5OfZeros(int mib) =>
        Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData(new byte[mib << 20]));

    [Fact]
    public void VcpusGoOfflineAndComeBack()
    {
        CreateShell("vcpus = 2", "maxvcpus = 3");
        _host.Must("vcpu-set", "g", "1");
        HostUnderTest.Await("one vCPU", () => _host.List()[0][3] == "1");
        _host.Must("vcpu-set", "-i", "g", "3");
        // The kernel only makes the CPUs present; taking them online is up to user space (udev elsewhere).
        _shell!.Must("until [ -e /sys/devices/system/cpu/cpu2/online ]; do sleep 0.1; done");
        _shell.Must("for i in 1 2; do echo 1 > /sys/devices/system/cpu/cpu$i/online; done");
        Assert.Equal("3", _shell.Must("nproc"));
        Assert.Equal("3", _host.List()[0][3]);
        string sums = _shell.Must("for i in 0 1 2; do taskset -c $i sh -c 'seq 1 999 | md5sum'; done | uniq -c");
        Assert.StartsWith("3 ", sums.TrimStart(), StringComparison.Ordinal);
        Assert.Equal("4 vCPUs: the domain has 1 to 3 (maxvcpus)", _host.MustFail("vcpu-set", "-i", "g", "4"));
        Assert.Equal("0 vCPUs: the domain has 1 to 3 (maxvcpus)", _host.MustFail("vcpu-set", "g", "0"));
    }

    [Fact]
    public void PinnedVcpusRunWhereTheyMay()
    {
        _host.Must("create", "-q", _host.Config("p", "stay", "vcpus = 2"));
        Assert.All(Affinities(), a => Assert.Equal("all / all", a));
        _host.Must("vcpu-pin", "p", "1", "0");
        Assert.Equal("0", ThreadStatus("vcpu1", "Cpus_allowed_list:"));
        Assert.Equal(["all / all", Environment.ProcessorCount > 1 ? "0 / all" : "all / all"], Affinities());
        _host.Must("vcpu-pin", "p", "all", "0");
        Assert.Equal("0", ThreadStatus("vcpu0", "Cpus_allowed_list:"));
        _host.Must("vcpu-pin", "p", "all", "all", "-");
        Assert.All(Affinities(), a => Assert.Equal("all / all", a));
        string placed = _host.Config("q", "stay", "vcpus = 2", "cpus = ['0', 'all']", "cpu_weight = 100");
        _host.Must("create", "-q", placed);
        Assert.Equal("100", _host.Must("sched-credit", "-d", "q").Split('\n')[1].Split(' ')[^5]);
        Assert.Contains(Environment.ProcessorCount > 1 ? "0 / all" : "all / all", Affinities()[2],
            StringComparison.Ordinal);
        _host.Must("destroy", "q");
        Assert.Contains("vCPU 0 cannot be placed on CPU 900", _host.MustFail("create", placed, "cpus='900'"),
            StringComparison.Ordinal);
        Assert.StartsWith("vCPU 0 cannot be placed on CPU 1023", _host.MustFail("vcpu-pin", "p", "0", "1023"),
            StringComparison.Ordinal);
        Assert.Equal("vCPU 2: the domain has 0 to 1", _host.MustFail("vcpu-pin", "p", "2", "0"));
        Assert.Contains("is not a list of CPUs", _host.MustFail("vcpu-pin", "p", "0", "3-1"),
            StringComparison.Ordinal);
        Assert.Contains("soft affinity", _host.MustFail("vcpu-pin", "p", "0", "0", "0"),
            StringComparison.Ordinal);
    }

    private string[] Affinities() =>
        [.. _host.Must("vcpu-list").TrimEnd().Split('\n').Skip(1).Select(l => Regex.Split(l, @"\.\d  ")[1])];

    /// <summary>A field of a thread of the only domain, by the thread's name.</summary>
    private string ThreadStatus(string thread, string field)
    {
        int process = _host.DomainProcesses().First(p =>
            File.ReadAllText($"/proc/{p}/comm").StartsWith("Ryokan.Domain", StringComparison.Ordinal));
        string task = Directory.EnumerateDirectories($"/proc/{process}/task")
            .First(t => File.ReadAllText(t + "/comm").Trim() == thread);
        return File.ReadLines(task + "/status")
            .First(l => l.StartsWith(field, StringComparison.Ordinal))[field.Length..].Trim();
    }

    [Fact]
    public void WeightAndCapAreInForceOrRefused()
    {
        _host.Must("create", "-q", _host.Config("s", "stay"));
        Assert.Equal("s                                    1    256    0",
            _host.Must("sched-credit").TrimEnd().Split('\n')[1]);
        Outcome weight = _host.Xm("sched-credit", "-d", "s", "-w", "128");
        Assert.Equal(0, weight.Status);
        Assert.Equal("s                                    1    128    0",
            _host.Must("sched-credit", "-d", "s").TrimEnd().Split('\n')[1]);
        Outcome cap = _host.Xm("sched-credit", "-d", "s", "-c", "50");
        if (weight.Errors.Length == 0)
        {
            Assert.Equal(0, cap.Status);
            Assert.Equal("50", _host.Must("sched-credit").TrimEnd().Split(' ')[^1]);
        }
        else
        {
            // No cgroup is to be had: the weight is approximated, and a cap, which cannot be, is refused.
            Assert.Matches("^xm: note: weight 128 is approximated by nice -?\\d+ of the vCPU threads: .*cgroup",
                weight.Errors);
            Assert.Matches("^xm: cap: not permitted here, it needs a cgroup v2 cpu controller: ", cap.Errors);
            Assert.Equal(1, cap.Status);
        }
        Assert.Equal("weight 0: 1 to 65535", _host.MustFail("sched-credit", "-d", "s", "-w", "0"));
        Assert.StartsWith("cap 101: 0 (none) to 100", _host.MustFail("sched-credit", "-d", "s", "-c", "101"),
            StringComparison.Ordinal);
        Assert.StartsWith("sched-credit: a domain is needed", _host.MustFail("sched-credit", "-w", "1"),
            StringComparison.Ordinal);
    }
}
