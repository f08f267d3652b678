using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Host.Tests;

/// <summary>User-mode network, for everybody: the stock front end, passt, and TCP both ways.</summary>
public sealed class UserNetworkTests : IDisposable
{
    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    internal static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Serves some bytes to every connection after its first bytes came.</summary>
    private static TcpListener Serve(byte[] content)
    {
        TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        _ = Task.Run(async () =>
        {
            for (; ; )
            {
                using TcpClient client = await listener.AcceptTcpClientAsync();
                NetworkStream stream = client.GetStream();
                _ = await stream.ReadAsync(new byte[4096]);
                await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(
                    $"HTTP/1.0 200 OK\r\nContent-Length: {content.Length}\r\n\r\n"));
                await stream.WriteAsync(content);
            }
        });
        return listener;
    }

    [Fact]
    public async Task GuestGetsALeaseAndTcpGoesBothWays()
    {
        int forwarded = FreePort();
        _host.Must("create", "-q", _host.Config("net", "shell",
            $"ramdisk = '{HostUnderTest.GuestImage("network")}'",
            $"vif = ['mac=00:16:3e:00:00:99,hostfwd=tcp:127.0.0.1:{forwarded}-:80']"));
        using GuestShell shell = new(_host, "net");
        Assert.Equal("00:16:3e:00:00:99", shell.Must("cat /sys/class/net/eth0/address"));
        shell.Must("ip link set lo up");
        Assert.Contains("lease 10.0.2.15/", shell.Must("udhcpc -i eth0 -n -q -s /jobs/lease 2>&1"),
            StringComparison.Ordinal);

        byte[] content = RandomNumberGenerator.GetBytes(8 << 20);
        string sum = Convert.ToHexStringLower(SHA256.HashData(content));
        using TcpListener server = Serve(content);
        string url = $"http://10.0.2.2:{((IPEndPoint)server.LocalEndpoint).Port}/";
        Assert.StartsWith(sum, shell.Must($"wget -q -O /tmp/f {url} && sha256sum /tmp/f"), StringComparison.Ordinal);

        shell.Must("httpd -p 80 -h /tmp");
        using HttpClient client = new();
        Assert.Equal(content, await client.GetByteArrayAsync($"http://127.0.0.1:{forwarded}/f"));

        Assert.Matches($"(?m)^0   0  00:16:3e:00:00:99     0     4 +\\d+ +\\d+/\\d+ +/local/domain/0/backend/vif/1/0",
            _host.Must("network-list", "net"));
        Assert.Matches("user-mode network\n  sent [1-9]\\d* frames, \\d{7,} bytes, 0 dropped\n  received",
            _host.Must("network-list", "-l", "net"));
    }

    [Fact]
    public async Task PasstThatDiesIsReplaced()
    {
        int forwarded = FreePort();
        using GuestShell shell = Serving("again", forwarded);
        using HttpClient client = new();
        Assert.Equal("hello\n", await client.GetStringAsync($"http://127.0.0.1:{forwarded}/f"));
        int passt = PasstWith($"{forwarded}:80").Single();
        Process.GetProcessById(passt).Kill();
        await AwaitAnother(passt, forwarded, shell);
        Assert.Contains("passt was started again", _host.Must("dmesg"), StringComparison.Ordinal);
        _host.Must("destroy", "again");
        HostUnderTest.Await("the end of passt", () => PasstWith($"{forwarded}:80").Length == 0);
    }

    [Fact]
    public async Task PasstThatIsStuckIsReplaced()
    {
        int forwarded = FreePort();
        using GuestShell shell = Serving("stuck", forwarded);
        int passt = PasstWith($"{forwarded}:80").Single();
        Stop(passt);
        shell.Must("ping -c 3 -W 1 10.0.2.2; true"); // something that is not read
        await AwaitAnother(passt, forwarded, shell);
        Assert.Contains("passt has read nothing for 5 s and is ended", _host.Must("dmesg"), StringComparison.Ordinal);
        Stop(PasstWith($"{forwarded}:80").Single());
        _host.Must("destroy", "stuck");
        HostUnderTest.Await("the end of a stopped passt", () => PasstWith($"{forwarded}:80").Length == 0);
    }

    /// <summary>A guest that serves a file by way of a port of the host.</summary>
    private GuestShell Serving(string name, int forwarded)
    {
        _host.Must("create", "-q", _host.Config(name, "shell",
            $"ramdisk = '{HostUnderTest.GuestImage("network")}'", $"vif = ['hostfwd=tcp:127.0.0.1:{forwarded}-:80']"));
        GuestShell shell = new(_host, name);
        shell.Must("ip link set lo up; udhcpc -i eth0 -n -q -s /jobs/lease; echo hello > /tmp/f; httpd -p 80 -h /tmp");
        return shell;
    }

    /// <summary>Another passt takes the place of one, and the guest serves again.</summary>
    private static async Task AwaitAnother(int passt, int forwarded, GuestShell shell)
    {
        HostUnderTest.Await("another passt", () => PasstWith($"{forwarded}:80") is [var next] && next != passt);
        // The guest speaks first, so that passt knows where it is.
        shell.Must("udhcpc -i eth0 -n -q -s /jobs/lease");
        using HttpClient client = new();
        Assert.Equal("hello\n", await client.GetStringAsync($"http://127.0.0.1:{forwarded}/f"));
    }

    /// <summary>SIGSTOP: it looks at nothing any more, as when it is caught in a loop.</summary>
    private static void Stop(int process)
    {
        using Process stop = Process.Start("kill", ["-STOP", process.ToString()]);
        stop.WaitForExit();
        Assert.Equal(0, stop.ExitCode);
    }

    /// <summary>Live processes of passt with that text in an argument.</summary>
    private static int[] PasstWith(string argument) => [.. Directory.EnumerateDirectories("/proc")
        .Where(d => int.TryParse(Path.GetFileName(d), out _) && CommandLine(d) is var line
            && line.Contains("passt\0", StringComparison.Ordinal) && line.Contains(argument, StringComparison.Ordinal))
        .Select(d => int.Parse(Path.GetFileName(d)))];

    private static string CommandLine(string directory)
    {
        try
        {
            return File.ReadAllText(Path.Combine(directory, "cmdline"));
        }
        catch (IOException)
        {
            return "";
        }
    }

    [Fact]
    public void WhatCannotBeIsSaidInOneLine()
    {
        using TcpListener busy = new(IPAddress.Loopback, 0);
        busy.Start();
        int port = ((IPEndPoint)busy.LocalEndpoint).Port;
        string taken = _host.Config("taken", "off", $"vif = ['hostfwd=tcp:127.0.0.1:{port}-:80']");
        Assert.Contains($"vif 0: user-mode network: passt: Failed to bind any port for",
            _host.MustFail("create", taken), StringComparison.Ordinal);
        string bridge = _host.Config("bridge", "off", "vif = ['bridge=nosuchbr']");
        Assert.EndsWith("vif 0: there is no bridge nosuchbr; without a bridge there is type=user",
            _host.MustFail("create", bridge), StringComparison.Ordinal);
        string typo = _host.Config("typo", "off", "vif = ['brigde=b']");
        Assert.Contains(":6: vif: 'brigde=b': 'brigde' is not a key of an interface",
            _host.MustFail("create", typo), StringComparison.Ordinal);
        _host.AssertNothingLeft();
    }
}
