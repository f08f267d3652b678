using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text;
using Xunit;

namespace Ryokan.Host.Tests.Debian;

/// <summary>A guest that starts from a Debian root disk with its own kernel, used through ssh.</summary>
internal sealed class DebianGuest
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    private readonly HostUnderTest _host;
    private readonly string[] _ssh;

    /// <summary>Creates the guest and waits until one can log in.</summary>
    /// <param name="host">where</param>
    /// <param name="image">whose key opens it</param>
    /// <param name="name">of the domain</param>
    /// <param name="disk">PATH,FORMAT</param>
    /// <param name="vif">its interface</param>
    /// <param name="address">where its ssh is reached</param>
    /// <param name="port">of it</param>
    public DebianGuest(
        HostUnderTest host, DebianImage image, string name, string disk, string vif, string address, int port = 22)
    {
        _host = host;
        _ssh =
        [
            "-i", image.KeyFile, "-p", port.ToString(CultureInfo.InvariantCulture), "-o", "BatchMode=yes",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
            "-o", "ConnectTimeout=5", "-F", "none", "root@" + address,
        ];
        host.Must("create", "-q", host.Write(name + ".cfg", Encoding.UTF8.GetBytes($"""
            name = "{name}"
            memory = 512
            disk = ["{disk},xvda,rw"]
            bootloader = "pygrub"
            extra = "console=hvc0"
            vif = ['{vif}']
            """)));
        Stopwatch watch = Stopwatch.StartNew();
        for (Outcome last; (last = Try("true")).Status != 0;)
        {
            Assert.True(watch.Elapsed < s_patience,
                $"no ssh to {name}: {last.Errors}\nits console: {host.ConsoleLog(name)}");
        }
    }

    /// <summary>Starts a command.</summary>
    public Process Start(string command) => _host.StartProgram("ssh", [.. _ssh, command]);

    /// <summary>Runs a command to its end.</summary>
    public Outcome Try(string command, string input = "")
    {
        using Process process = Start(command);
        return HostUnderTest.End(process, s_patience, input, $"'{command}' by ssh");
    }

    /// <summary>Runs a command that has to succeed; what it printed.</summary>
    public string Must(string command, string input = "")
    {
        Outcome outcome = Try(command, input);
        Assert.True(outcome.Status == 0, $"'{command}' by ssh: {outcome.Status}: {outcome.Errors}{outcome.Output}");
        return outcome.Output;
    }

    /// <summary>Puts a file into root's home.</summary>
    public void Copy(string path) => Must($"cat > {Path.GetFileName(path)}", File.ReadAllText(path));
}
