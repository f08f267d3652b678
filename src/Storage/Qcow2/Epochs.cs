using System.Threading;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Tells when every request that may still use a cluster's old place has ended, without making any wait: a
/// request
/// runs in the epoch that was current when it began, and an epoch ends when a later one is current and the
/// requests
/// of the one before have gone.
/// </summary>
internal sealed class Epochs
{
    private readonly int[] _running = new int[2];
    private int _current;

    /// <summary>Begins a request.</summary>
    /// <returns>its epoch, for <see cref="Exit"/></returns>
    public int Enter()
    {
        while (true)
        {
            int epoch = Volatile.Read(ref _current);
            Interlocked.Increment(ref _running[epoch & 1]);
            if (Volatile.Read(ref _current) == epoch)
            {
                return epoch;
            }
            Interlocked.Decrement(ref _running[epoch & 1]);
        }
    }

    public void Exit(int epoch) => Interlocked.Decrement(ref _running[epoch & 1]);

    public int Current => Volatile.Read(ref _current);

    /// <summary>Begins the next epochs if the requests of earlier ones have ended. One thread at a
    /// time.</summary>
    public void Advance()
    {
        for (int i = 0; i < 2 && Volatile.Read(ref _running[(_current + 1) & 1]) == 0; i++)
        {
            Interlocked.Increment(ref _current);
        }
    }

    /// <summary>Whether all requests have ended that began in <paramref name="epoch"/> or before.</summary>
    public bool HasEnded(int epoch) => Current - epoch >= 2;
}
