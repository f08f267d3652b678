using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;

namespace Ryokan.Bench.Devices;

/// <summary>
/// A network namespace with a bridge, a tap device for QEMU, the server of iperf3, and a second namespace on the same
/// bridge from which the host's own figures come. What is started in it has a ryokand of its own. For root; all of it
/// is gone after <see cref="Dispose"/>.
/// </summary>
internal sealed class NetworkSpace : IDisposable
{
    public const string Bridge = "xenbr0", HostAddress = "10.77.0.1";
    private const string PeerAddress = "10.77.0.3";

    private readonly string _space = string.Create(
        CultureInfo.InvariantCulture, $"ryokan-bench-{Environment.ProcessId}");
    private readonly string _runtime;
    private readonly ConsoleProcess? _server;

    /// <param name="tree">with iperf3 and its libraries</param>
    /// <param name="work">a directory, for sockets</param>
    /// <exception cref="InvalidOperationException">a command failed</exception>
    public NetworkSpace(string tree, string work)
    {
        _runtime = Path.Combine(work, "run-network");
        try
        {
            Make();
            string libraries = $"{tree}/lib/x86_64-linux-gnu:{tree}/usr/lib/x86_64-linux-gnu";
            _server = Start($"{tree}/lib64/ld-linux-x86-64.so.2",
                ["--library-path", libraries, $"{tree}/usr/bin/iperf3", "-s"]);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The device that QEMU opens.</summary>
    public string QemuTap => "qemu0";

    private string Peer => _space + "-peer";

    private void Make()
    {
        Ip("netns", "add", _space);
        Ip("netns", "add", Peer);
        Ip("-n", _space, "link", "set", "lo", "up");
        Ip("-n", _space, "link", "add", Bridge, "type", "bridge");
        Ip("-n", _space, "addr", "add", HostAddress + "/24", "dev", Bridge);
        Ip("-n", _space, "link", "set", Bridge, "up");
        Ip("-n", _space, "tuntap", "add", QemuTap, "mode", "tap");
        Ip("-n", _space, "link", "set", QemuTap, "master", Bridge, "up");
        Ip("-n", _space, "link", "add", "peer0", "type", "veth", "peer", "name", "eth0", "netns", Peer);
        Ip("-n", _space, "link", "set", "peer0", "master", Bridge, "up");
        Ip("-n", Peer, "addr", "add", PeerAddress + "/24", "dev", "eth0");
        Ip("-n", Peer, "link", "set", "eth0", "up");
    }

    /// <summary>Starts a command on the host's side of the bridge.</summary>
    public ConsoleProcess Start(string command, IEnumerable<string> arguments) => new("ip",
        ["netns", "exec", _space, "env", "RYOKAN_RUNTIME_DIR=" + _runtime, command, .. arguments]);

    /// <summary>Starts a command on another machine of the bridge, as it were.</summary>
    public ConsoleProcess StartPeer(string command, IEnumerable<string> arguments) =>
        new("ip", ["netns", "exec", Peer, command, .. arguments]);

    private static void Ip(params string[] arguments)
    {
        using ConsoleProcess ip = new("ip", arguments);
        if (ip.WaitForExit(TimeSpan.FromSeconds(10)) != 0)
        {
            string output = string.Join(' ', Array.ConvertAll(ip.Lines, l => l.Text));
            throw new InvalidOperationException($"ip {string.Join(' ', arguments)}: {output}");
        }
    }

    public void Dispose()
    {
        _server?.Dispose();
        foreach (string process in Processes())
        {
            using ConsoleProcess kill = new("kill", [process]);
            kill.WaitForExit(TimeSpan.FromSeconds(5));
        }

        foreach (string space in new[] { _space, Peer })
        {
            using ConsoleProcess remove = new("ip", ["netns", "del", space]);
            remove.WaitForExit(TimeSpan.FromSeconds(10));
        }
    }

    /// <summary>Process ids of what still runs in the namespace: its ryokand.</summary>
    private string[] Processes()
    {
        using ConsoleProcess pids = new("ip", ["netns", "pids", _space]);
        return pids.WaitForExit(TimeSpan.FromSeconds(5)) == 0 ? Array.ConvertAll(pids.Lines, l => l.Text.Trim()) : [];
    }
}
