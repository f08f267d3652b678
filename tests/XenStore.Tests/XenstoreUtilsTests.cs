using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Ryokan.XenStore.Transport;
using Xunit;

namespace Ryokan.XenStore.Tests;

/// <summary>
/// Debian's own xenstore clients against the store's socket: the installed ones, or those that eng/setup.sh
/// unpacked (XENSTORE_TOOLS).
/// </summary>
public sealed class XenstoreUtilsTests : IAsyncLifetime
{
    private readonly Store _store = new();
    private readonly string _directory = Directory.CreateTempSubdirectory("ryokan-xs-").FullName;
    private readonly StoreConnection _root;
    private SocketServer? _server;

    public XenstoreUtilsTests() => _root = _store.Connect(0);

    private string SocketPath => Path.Combine(_directory, "socket");

    public Task InitializeAsync()
    {
        _server = new SocketServer(_store, SocketPath);
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        await _server!.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    private Process Start(string tool, params string[] arguments)
    {
        string unpacked = Environment.GetEnvironmentVariable("XENSTORE_TOOLS") ?? "";
        string program = unpacked.Length > 0 ? $"{unpacked}/usr/bin/{tool}" : tool;
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment["XENSTORED_PATH"] = SocketPath;
        if (unpacked.Length > 0)
        {
            start.Environment["LD_LIBRARY_PATH"] = unpacked + "/usr/lib/x86_64-linux-gnu";
        }
        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new InvalidOperationException(
                $"{program} is missing: run eng/setup.sh, or install the package xenstore-utils");
        }
    }

    private (int Status, string Output) Run(string tool, params string[] arguments)
    {
        using Process process = Start(tool, arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(20_000))
        {
            process.Kill();
            throw new TimeoutException($"{tool} hangs");
        }
        return (process.ExitCode, output.TrimEnd('\n') + errors.Result.TrimEnd('\n'));
    }

    [Fact]
    public void Write_read_list_rm()
    {
        Assert.Equal((0, ""), Run("xenstore-write", "/tool/a", "one", "/tool/b/c", "two"));
        Assert.Equal("one", _root.Get("/tool/a"));
        Assert.Equal((0, "two"), Run("xenstore-read", "/tool/b/c"));
        Assert.Equal((0, "a\nb"), Run("xenstore-list", "/tool"));
        Assert.Equal((0, ""), Run("xenstore-exists", "/tool/b"));
        Assert.Equal((0, ""), Run("xenstore-rm", "/tool/b"));
        Assert.NotEqual(0, Run("xenstore-exists", "/tool/b").Status);
        (int status, string output) = Run("xenstore-read", "/tool/b/c");
        Assert.NotEqual(0, status);
        Assert.Contains("/tool/b/c", output);
    }

    [Fact]
    public void Permissions()
    {
        _root.Put("/p", "v");
        Assert.Equal((0, ""), Run("xenstore-chmod", "/p", "n0", "r5"));
        Assert.EndsWith("(n0,r5)", Run("xenstore-ls", "-f", "-p", "/").Output);
    }

    [Fact]
    public void A_domains_tree_is_listed()
    {
        DomainTree.Create(_root, new DomainDescription
        {
            Domain = 3, Name = "demo", Uuid = new Guid("11111111-2222-3333-4444-555555555555"),
            TargetKiB = 262144, MaximumKiB = 262144, Vcpus = 1, MaximumVcpus = 2,
            ConsoleMfn = 100, ConsolePort = 2, StoreMfn = 99, StorePort = 1,
        });
        string[] lines = Run("xenstore-ls", "-f", "-p", "/local/domain/3").Output.Split('\n')
            .Select(l => string.Join(' ', l.Split(' ', StringSplitOptions.RemoveEmptyEntries))).ToArray();
        Assert.Contains("/local/domain/3/name = \"demo\" (n0,r3)", lines);
        Assert.Contains("/local/domain/3/vm = \"/vm/11111111-2222-3333-4444-555555555555\" (n0,r3)", lines);
        Assert.Contains("/local/domain/3/cpu/0/availability = \"online\" (n0,r3)", lines);
        Assert.Contains("/local/domain/3/cpu/1/availability = \"offline\" (n0,r3)", lines);
        Assert.Contains("/local/domain/3/memory/target = \"262144\" (n0,r3)", lines);
        Assert.Contains("/local/domain/3/console/ring-ref = \"100\" (n0,r3)", lines);
        Assert.Contains("/local/domain/3/store/port = \"1\" (n0,r3)", lines);
        Assert.Contains("/local/domain/3/control/shutdown = \"\" (n3,r0)", lines);
        Assert.Contains("/local/domain/3/data = \"\" (n3,r0)", lines);
        Assert.Contains("/local/domain/3/device/suspend/event-channel = \"\" (n3,r0)", lines);
        Assert.True(_store.IsIntroduced(3));
    }

    [Fact]
    public void A_directory_too_long_for_one_message_is_listed()
    {
        List<string> names = [.. Enumerable.Range(0, 700).Select(i => $"a-rather-long-name-{i:D4}")];
        names.ForEach(n => _root.Put("/many/" + n, ""));
        Assert.Equal((0, string.Join('\n', names)), Run("xenstore-list", "/many"));
    }

    [Fact]
    public async Task A_watch_prints_what_changes()
    {
        _root.Put("/w", "");
        using Process watch = Start("xenstore-watch", "-n", "3", "/w");
        Task<string> output = watch.StandardOutput.ReadToEndAsync();
        DateTime end = DateTime.UtcNow + TimeSpan.FromSeconds(20);
        for (int i = 0; !watch.HasExited && DateTime.UtcNow < end; i++)
        {
            _root.Put($"/w/{i & 1}", "x");
            watch.WaitForExit(20);
        }
        Assert.True(watch.HasExited);
        string[] lines = (await output).TrimEnd('\n').Split('\n');
        Assert.Equal("/w", lines[0]);
        Assert.Equal(3, lines.Length);
        Assert.All(lines[1..], l => Assert.StartsWith("/w/", l));
    }

    [Fact]
    public void Many_clients_at_once()
    {
        List<Process> clients =
            [.. Enumerable.Range(0, 12).Select(i => Start("xenstore-write", $"/c/{i}", i.ToString()))];
        foreach (Process client in clients)
        {
            Assert.True(client.WaitForExit(20_000));
            Assert.Equal(0, client.ExitCode);
            client.Dispose();
        }
        Assert.Equal(12, _root.List("/c").Split(' ').Length);
    }

    [Fact]
    public void The_socket_is_the_owners_and_cannot_be_taken_twice()
    {
        if (OperatingSystem.IsLinux())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));
        }
        IOException error = Assert.Throws<IOException>(() => new SocketServer(_store, SocketPath));
        Assert.Contains(SocketPath, error.Message);
    }

    [Fact]
    public async Task A_socket_left_behind_is_replaced_and_removed_at_the_end()
    {
        string path = Path.Combine(_directory, "stale");
        using (System.Net.Sockets.Socket left = new(
            System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0))
        {
            left.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(path));
        }
        SocketServer server = new(_store, path);
        await server.DisposeAsync();
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void Rubbish_on_the_socket_ends_only_that_connection()
    {
        using System.Net.Sockets.Socket bad = new(
            System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0);
        bad.Connect(new System.Net.Sockets.UnixDomainSocketEndPoint(SocketPath));
        byte[] rubbish = new byte[5000];
        Array.Fill(rubbish, (byte)0xff);
        bad.Send(rubbish);
        bad.ReceiveTimeout = 10_000;
        Assert.Equal(0, Receive(bad));
        Assert.Equal((0, ""), Run("xenstore-write", "/still", "here"));
    }

    /// <summary>0 at the end of the stream, also when the peer reset it.</summary>
    private static int Receive(System.Net.Sockets.Socket socket)
    {
        try
        {
            return socket.Receive(new byte[100]);
        }
        catch (System.Net.Sockets.SocketException e) when (
            e.SocketErrorCode == System.Net.Sockets.SocketError.ConnectionReset)
        {
            return 0;
        }
    }
}
