using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.Xen.Abi;
using Ryokan.XenStore.Wire;

namespace Ryokan.XenStore.Transport;

/// <summary>
/// The store's Unix socket, as xenstore-ls, xenstore-read and their like know it (they take the path from
/// XENSTORED_PATH). Whoever may open the socket acts as domain 0; only the owner of the process may.
/// </summary>
public sealed class SocketServer : IAsyncDisposable
{
    /// <summary>Clients at one time; more are turned away.</summary>
    public const int MaxClients = 64;

    private readonly Store _store;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<Task> _clients = [];
    private readonly Task _accepting;
    private int _clientCount;

    public string Path { get; }

    /// <summary>Listens on the path; a socket left there by a process that is gone is replaced.</summary>
    /// <exception cref="IOException">the path is in use or cannot be made</exception>
    public SocketServer(Store store, string path)
    {
        _store = store;
        Path = path;
        try
        {
            RemoveStale(path);
            _listener.Bind(new UnixDomainSocketEndPoint(path));
            if (OperatingSystem.IsLinux())
            {
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }
            _listener.Listen();
        }
        catch (Exception e) when (e is SocketException or UnauthorizedAccessException or ArgumentException)
        {
            _listener.Dispose();
            throw new IOException($"xenstore socket {path}: {e.Message}", e);
        }
        _accepting = AcceptAsync();
    }

    private static void RemoveStale(string path)
    {
        if (!File.Exists(path))
        {
            return;
        }
        using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        throw new IOException($"xenstore socket {path}: another process serves it");
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket client;
            try
            {
                client = await _listener.AcceptAsync(_stop.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // No descriptor left, most likely: clients wait until some are free again.
                await Task.Delay(100).ConfigureAwait(false);
                continue;
            }
            if (Interlocked.Increment(ref _clientCount) > MaxClients)
            {
                Interlocked.Decrement(ref _clientCount);
                client.Dispose();
                continue;
            }
            Task task = ServeAsync(client);
            lock (_clients)
            {
                _clients.Add(task);
            }
            _ = task.ContinueWith(Forget, TaskScheduler.Default);
        }
    }

    private void Forget(Task task)
    {
        Interlocked.Decrement(ref _clientCount);
        lock (_clients)
        {
            _clients.Remove(task);
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        await Task.Yield();
        using SemaphoreSlim output = new(0);
        using CancellationTokenSource done = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        using (socket)
        using (WireSession session = new(_store, 0, () => Signal(output), home: ""))
        {
            Task writing = WriteAsync(socket, session, output, done);
            try
            {
                await ReadAsync(socket, session, done.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (IsDisconnect(e))
            {
                // The client went away or sent what is no message: the connection ends.
            }
            await done.CancelAsync().ConfigureAwait(false);
            await writing.ConfigureAwait(false);
        }
    }

    private static void Signal(SemaphoreSlim output)
    {
        try
        {
            if (output.CurrentCount == 0)
            {
                output.Release();
            }
        }
        catch (ObjectDisposedException)
        {
            // The last event of a connection that has ended.
        }
    }

    private static async Task ReadAsync(Socket socket, WireSession session, CancellationToken stop)
    {
        byte[] buffer = new byte[Outbox.HeaderSize + XenStoreLimits.PayloadMax];
        using NetworkStream stream = new(socket);
        while (true)
        {
            await stream.ReadExactlyAsync(buffer.AsMemory(0, Outbox.HeaderSize), stop).ConfigureAwait(false);
            XsdSockmsg header = MemoryMarshal.Read<XsdSockmsg>(buffer);
            if (header.Len > XenStoreLimits.PayloadMax)
            {
                return;
            }
            Memory<byte> payload = buffer.AsMemory(Outbox.HeaderSize, (int)header.Len);
            await stream.ReadExactlyAsync(payload, stop).ConfigureAwait(false);
            session.Handle(header, payload.Span);
            while (session.QueuedBytes > WireSession.MaxQueuedBytes)
            {
                // The client does not read its replies: it waits until it does.
                await Task.Delay(10, stop).ConfigureAwait(false);
            }
        }
    }

    private static async Task WriteAsync(
        Socket socket, WireSession session, SemaphoreSlim output, CancellationTokenSource done)
    {
        byte[] buffer = new byte[XenStoreLimits.PayloadMax];
        try
        {
            while (true)
            {
                await output.WaitAsync(done.Token).ConfigureAwait(false);
                int n;
                while ((n = session.TakeOutput(buffer)) > 0)
                {
                    for (int sent = 0; sent < n;)
                    {
                        sent += await socket.SendAsync(
                            buffer.AsMemory(sent, n - sent), done.Token).ConfigureAwait(false);
                    }
                }
            }
        }
        catch (Exception e) when (IsDisconnect(e))
        {
            await done.CancelAsync().ConfigureAwait(false);
        }
    }

    private static bool IsDisconnect(Exception e) =>
        e is IOException or SocketException or OperationCanceledException or ObjectDisposedException;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _listener.Dispose();
        await _accepting.ConfigureAwait(false);
        Task[] clients;
        lock (_clients)
        {
            clients = [.. _clients];
        }
        await Task.WhenAll(clients).ConfigureAwait(false);
        _stop.Dispose();
        File.Delete(Path);
    }
}
