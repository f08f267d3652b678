using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Ryokan.Linux.Interop;
using Ryokan.Linux.Interop.Network;

namespace Ryokan.Backends.Network.Ports;

/// <summary>
/// Starts passt(1): network access without privileges. It gets one end of a pair of sockets, goes into the
/// background when it is ready, and ends by itself when our end is closed, however that comes about; unless it is stuck.
/// </summary>
internal sealed class PasstProcess : IDisposable
{
    private readonly ForeignProcess? _process;

    private PasstProcess(SafeFileHandle socket, ForeignProcess? process) => (Socket, _process) = (socket, process);

    /// <summary>Our end of its connection.</summary>
    public SafeFileHandle Socket { get; }

    /// <summary>Ends it, even when it does not look at its connection any more.</summary>
    public void Dispose()
    {
        Socket.Dispose();
        _process?.Kill();
        _process?.Dispose();
    }

    private const int MaxOutputBytes = 16 << 10;

    /// <summary>The program: RYOKAN_PASST, on the PATH, or where eng/setup.sh unpacks it.</summary>
    private static string? Find()
    {
        List<string> candidates = [];
        if (Environment.GetEnvironmentVariable("RYOKAN_PASST") is { Length: > 0 } chosen)
        {
            return File.Exists(chosen) ? Path.GetFullPath(chosen) : null;
        }
        foreach (string directory in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'))
        {
            candidates.Add(Path.Combine(directory, "passt"));
        }
        string? user = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        foreach (string? place in (ReadOnlySpan<string?>)[
            Environment.GetEnvironmentVariable("RYOKAN_CACHE"), Path.Combine(user, "ryokan"),
            "/var/cache/ryokan"])
        {
            candidates.Add(Path.Combine(place ?? "", "passt/usr/bin/passt"));
        }
        return candidates.Find(c => Path.IsPathRooted(c) && File.Exists(c));
    }

    /// <summary>Starts it; returns when it is ready.</summary>
    /// <exception cref="HostNetworkException">it is not there, or says no</exception>
    public static PasstProcess Start(PasstOptions options)
    {
        string program = Find() ?? throw new HostNetworkException(
            "user-mode network: no 'passt'; as root: apt-get install passt (eng/setup.sh fetches it too)");
        (SafeFileHandle ours, SafeFileHandle other) = SocketPair.Make();
        try
        {
            using PidFile number = new();
            int pid = DetachedProcess.Start(program, Arguments(options, number.Path), other, out SafeFileHandle output);
            other.Dispose();
            string said = ReadAll(output);
            int status = DetachedProcess.AwaitExit(pid);
            return status == 0 ? new PasstProcess(ours, Background(number)) : throw new HostNetworkException(
                $"user-mode network: passt: {Reason(said) ?? $"exit status {status}"}");
        }
        catch (Exception e)
        {
            other.Dispose();
            ours.Dispose();
            throw e is InvalidOperationException or IOException or UnauthorizedAccessException
                ? new HostNetworkException($"user-mode network: {program}: {e.Message}") : e;
        }
    }

    /// <summary>
    /// The process that went into the background; null when it has ended. Others may write to the file as well, so only a process that was
    /// started with its name is believed to be the one: it is going to be killed.
    /// </summary>
    private static ForeignProcess? Background(PidFile number)
    {
        ForeignProcess? process = number.Read() is { } pid ? ForeignProcess.Open(pid) : null;
        if (process?.HasArgument(number.Path) != false)
        {
            return process;
        }
        process.Dispose();
        return null;
    }

    private static List<string> Arguments(PasstOptions options, string pidFile)
    {
        List<string> arguments =
        [
            "--quiet", "--stderr", "--pid", pidFile, "--fd", Number(DetachedProcess.Inherited), "--mtu", Number(options.Mtu),
            "--address", options.Address.ToString(), "--netmask", Number(options.PrefixLength),
            "--gateway", options.Gateway.ToString(),
        ];
        foreach (PortForward forward in options.Forwards)
        {
            string address = forward.HostAddress switch
            {
                null => "",
                { AddressFamily: AddressFamily.InterNetworkV6 } v6 => $"[{v6}]/",
                var v4 => $"{v4}/",
            };
            arguments.Add(forward.IsUdp ? "--udp-ports" : "--tcp-ports");
            arguments.Add(string.Create(
                CultureInfo.InvariantCulture, $"{address}{forward.HostPort}:{forward.GuestPort}"));
        }
        return arguments;
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string ReadAll(SafeFileHandle output)
    {
        using FileStream stream = new(output, FileAccess.Read, 1);
        byte[] buffer = new byte[MaxOutputBytes];
        int filled = 0;
        for (int n; filled < buffer.Length && (n = stream.Read(buffer.AsSpan(filled))) > 0;)
        {
            filled += n;
        }
        return Encoding.UTF8.GetString(buffer, 0, filled);
    }

    /// <summary>Its last word, without what it says about the system's log, and what that means.</summary>
    private static string? Reason(string said)
    {
        string? last = said.Split('\n').LastOrDefault(
            l => l.Length > 0 && !l.Contains("syslog", StringComparison.Ordinal));
        bool isolated = last == "External interface not usable";
        return isolated ? $"{last} (it needs a default route on the host)" : last;
    }
}
