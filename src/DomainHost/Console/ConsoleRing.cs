using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.DomainHost.Console;

/// <summary>
/// The back end of a domain's first console: one shared page with an input and an output ring
/// (xen/include/public/io/console.h, struct xencons_interface). All of the page is the guest's to spoil:
/// indices are read once, and one that makes no sense drops what it would cover.
/// </summary>
internal sealed class ConsoleRing
{
    private const int InBytes = 1024, OutBytes = 2048;

    private readonly GuestFrames _frames;
    private readonly ulong _mfn;

    public ConsoleRing(GuestFrames frames, ulong mfn) => (_frames, _mfn) = (frames, mfn);

    private ref XenconsInterface Page =>
        ref MemoryMarshal.AsRef<XenconsInterface>(_frames.Span(_mfn)[..Unsafe.SizeOf<XenconsInterface>()]);

    /// <summary>
    /// Takes what the guest wrote; returns the bytes put into <paramref name="destination"/> (2048 suffice).
    /// </summary>
    public int ReadOutput(Span<byte> destination)
    {
        ref XenconsInterface page = ref Page;
        uint consumed = page.OutCons;
        uint produced = Volatile.Read(ref page.OutProd);
        uint available = produced - consumed;
        if (available > OutBytes)
        {
            // Nonsense: start again where the guest says it is.
            Volatile.Write(ref page.OutCons, produced);
            return 0;
        }
        int n = (int)Math.Min(available, (uint)destination.Length);
        ReadOnlySpan<byte> ring = page.Out;
        int at = (int)(consumed & (OutBytes - 1));
        int first = Math.Min(n, OutBytes - at);
        ring.Slice(at, first).CopyTo(destination);
        ring[..(n - first)].CopyTo(destination[first..]);
        // The guest may overwrite the bytes as soon as it sees the index.
        Interlocked.MemoryBarrier();
        Volatile.Write(ref page.OutCons, consumed + (uint)n);
        Written();
        return n;
    }

    /// <summary>Gives the guest input; returns how many bytes the ring had room for.</summary>
    public int WriteInput(ReadOnlySpan<byte> source)
    {
        ref XenconsInterface page = ref Page;
        uint produced = page.InProd;
        uint used = produced - Volatile.Read(ref page.InCons);
        if (used >= InBytes)
        {
            return 0;
        }
        int n = Math.Min(source.Length, InBytes - (int)used);
        Span<byte> ring = page.In;
        int at = (int)(produced & (InBytes - 1));
        int first = Math.Min(n, InBytes - at);
        source[..first].CopyTo(ring[at..]);
        source[first..n].CopyTo(ring);
        // The bytes must be there before the index says so.
        Interlocked.MemoryBarrier();
        Volatile.Write(ref page.InProd, produced + (uint)n);
        Written();
        return n;
    }

    private void Written()
    {
        if (_frames.IndexOf(_mfn) is var index and >= 0)
        {
            _frames.NoteWritten(index, 0, GuestFrames.PageSize);
        }
    }
}
