using System;
using System.Net.Sockets;
using System.Threading;

namespace Ryokan.DomainHost.Hosted;

internal static class SocketExtensions
{
    public static void SendAll(this Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[socket.Send(bytes)..];
        }
    }

    public static void JoinIfStarted(this Thread thread)
    {
        if (!thread.ThreadState.HasFlag(ThreadState.Unstarted))
        {
            thread.Join();
        }
    }
}
