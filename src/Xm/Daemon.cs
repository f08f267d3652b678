using System;
using System.IO;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Ryokan.Api;
using Ryokan.Linux.Interop;

namespace Ryokan.Xm;

/// <summary>Reaches this user's daemon, and starts one when none runs.</summary>
internal static class Daemon
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(10);

    /// <exception cref="UsageException">it cannot be started</exception>
    public static async Task<DaemonClient> Connect(Places places)
    {
        if (!Answers(places.DaemonSocket))
        {
            await Start(places);
        }
        return new DaemonClient(places.DaemonSocket);
    }

    private static bool Answers(string path)
    {
        if (path.Length > Places.MaxSocketPath)
        {
            throw new UsageException(
                $"{path}: too long for a unix socket; set RYOKAN_RUNTIME_DIR to a shorter directory");
        }
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static async Task Start(Places places)
    {
        try
        {
            places.Create();
            string program = Path.Combine(AppContext.BaseDirectory, "ryokand");
            int pid = DetachedProcess.Start(program, [], places.DaemonLog, out SafeFileHandle output);
            // Should it end before this command does, it must not stay as a zombie that looks alive.
            new Thread(() => DetachedProcess.AwaitExit(pid)) { IsBackground = true }.Start();
            using (output)
            {
                Task<bool> ready = Task.Run(() => ReadsLine(output));
                if (await Task.WhenAny(ready, Task.Delay(StartTimeout)) == ready && await ready)
                {
                    return;
                }
            }
        }
        catch (Exception e) when (
            e is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            throw new UsageException($"ryokand cannot be started: {e.Message}");
        }
        // Somebody else may have started one at the same moment; the loser ends without that line.
        for (int i = 0; i < 100; i++)
        {
            if (Answers(places.DaemonSocket))
            {
                return;
            }
            Thread.Sleep(20);
        }
        throw new UsageException($"ryokand does not start; {places.DaemonLog} says why");
    }

    private static bool ReadsLine(SafeFileHandle output)
    {
        using FileStream stream = new(output, FileAccess.Read, 1);
        return stream.ReadByte() >= 0;
    }
}
