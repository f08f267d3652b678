using System.Threading;

namespace Ryokan.Backends.Network;

/// <summary>What went through an interface; "received" is what the guest received.</summary>
public sealed class InterfaceCounters
{
    private long _sentPackets, _sentBytes, _sentDropped, _receivedPackets, _receivedBytes, _receivedDropped;

    public long SentPackets => Interlocked.Read(ref _sentPackets);
    public long SentBytes => Interlocked.Read(ref _sentBytes);
    public long SentDropped => Interlocked.Read(ref _sentDropped);
    public long ReceivedPackets => Interlocked.Read(ref _receivedPackets);
    public long ReceivedBytes => Interlocked.Read(ref _receivedBytes);
    public long ReceivedDropped => Interlocked.Read(ref _receivedDropped);

    internal void Sent(int bytes, bool good) => Add(ref good ? ref _sentPackets : ref _sentDropped,
        ref _sentBytes, good ? bytes : 0);

    internal void Received(int bytes, bool good) => Add(
        ref good ? ref _receivedPackets : ref _receivedDropped, ref _receivedBytes, good ? bytes : 0);

    private static void Add(ref long packets, ref long total, int bytes)
    {
        Interlocked.Increment(ref packets);
        if (bytes != 0)
        {
            Interlocked.Add(ref total, bytes);
        }
    }
}
