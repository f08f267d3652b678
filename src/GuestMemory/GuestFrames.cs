using System;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Linux.Interop;

namespace Ryokan.GuestMemory;

/// <summary>What is known of one machine frame; one byte each.</summary>
[Flags]
public enum FrameFlags : byte
{
    None = 0,

    /// <summary>The guest uses the frame as a page table: kernel stores through read-only mappings are let through.</summary>
    PageTable = 1,

    /// <summary>The engine holds translations made from the frame: writes must be reported.</summary>
    Code = 2,

    /// <summary>A vCPU may hold a writable TLB entry for the frame.</summary>
    WriteCached = 4,

    /// <summary>Written since the dirty log was last read.</summary>
    Dirty = 8,

    /// <summary>Not backed at the moment: the guest gave it back (balloon).</summary>
    Absent = 16,
}

/// <summary>Told about monitor writes to frames that hold translated code.</summary>
public interface ICodeWriteObserver
{
    /// <summary>Bytes [offset, offset+length) of the frame with that dense index were just written.</summary>
    void CodeWritten(long frameIndex, int offset, int length);
}

/// <summary>
/// All machine frames of one domain: RAM (mfn 0 .. RamFrames-1, mfn == pfn at start) and the
/// special frames that the monitor adds (shared info, grant table), numbered from
/// <see cref="SpecialBase"/>. One private mapping, in huge pages of the host where it has them; this type owns it
/// and every pointer it hands out is to a whole 4096-byte frame inside it.
/// </summary>
public sealed unsafe partial class GuestFrames : IDisposable
{
    public const int PageSize = 4096;
    public const int PageShift = 12;

    /// <summary>mfn of the first special frame: above any RAM frame, below 2^32 (44-bit machine addresses).</summary>
    public const ulong SpecialBase = 0x8000000;

    /// <summary>With so many (512 MiB) the flags, which a page walk looks at, are worth a huge page.</summary>
    private const ulong ManyFrames = 1 << 17;

    private readonly byte* _base;
    private readonly HugeMapping _flagMapping;
    private readonly byte* _flags;
    private readonly nuint _length;
    private readonly int _fd;
    private ICodeWriteObserver? _observer;
    private ulong _specialUsed;

    public ulong RamFrames { get; }
    public ulong SpecialFrames { get; }
    public ulong TotalFrames => RamFrames + SpecialFrames;

    /// <summary>First byte of frame index 0.</summary>
    public byte* Base => _base;

    /// <summary>One <see cref="FrameFlags"/> byte per dense frame index; shared by all threads.</summary>
    public byte* Flags => _flags;

    /// <summary>The memfd of shared frames, -1 for others.</summary>
    public int FileDescriptor => _fd;

    /// <summary>Maps <paramref name="ramFrames"/> + <paramref name="specialFrames"/> zeroed frames.</summary>
    /// <param name="shared">In a memfd that another process can map too, and in small pages.</param>
    /// <exception cref="InvalidOperationException">the host has no memory or descriptor for it</exception>
    public GuestFrames(ulong ramFrames, ulong specialFrames = 256, bool shared = false)
    {
        RamFrames = ramFrames;
        SpecialFrames = specialFrames;
        _length = (nuint)((ramFrames + specialFrames) * PageSize);
        _fd = shared ? CreateFile(_length) : -1;
        _base = Map(_length, _fd, shared ? Libc.MapShared : Libc.MapPrivate | Libc.MapAnonymous);
        if (!shared)
        {
            _ = Libc.Madvise((nint)_base, _length, Libc.MadviseHugePage); // a host without them does without
            if (Libc.Madvise((nint)_base, _length, Libc.MadviseDontFork) != 0)
            {
                throw new InvalidOperationException(
                    $"guest memory: madvise of {_length} bytes: errno {Marshal.GetLastPInvokeError()}");
            }
        }
        _flagMapping = new HugeMapping("flags of guest memory", (nuint)TotalFrames, Libc.ProtRead | Libc.ProtWrite, TotalFrames >= ManyFrames);
        _flags = _flagMapping.Start;
    }

    private static int CreateFile(nuint length)
    {
        int fd = Libc.MemfdCreate("ryokan-guest", 1 /* MFD_CLOEXEC */);
        return fd >= 0 && Libc.Ftruncate(fd, (long)length) == 0 ? fd : throw new InvalidOperationException(
            $"guest memory: memfd of {length} bytes: errno {Marshal.GetLastPInvokeError()}");
    }

    private static byte* Map(nuint length, int fd, int flags)
    {
        nint p = Libc.Mmap(0, length, Libc.ProtRead | Libc.ProtWrite, flags | Libc.MapNoReserve, fd, 0);
        return p != -1 ? (byte*)p
            : throw new InvalidOperationException($"guest memory: mmap of {length} bytes: errno {Marshal.GetLastPInvokeError()}");
    }

    public void SetObserver(ICodeWriteObserver observer) => _observer = observer;

    /// <summary>Hands out the next unused special frame; returns its mfn, or null when the limit is reached.</summary>
    public ulong? AllocateSpecial() =>
        _specialUsed < SpecialFrames ? SpecialBase + _specialUsed++ : null;

    /// <summary>Dense index of a machine frame (RAM first, then special), or -1 for a frame that is not the domain's.</summary>
    public long IndexOf(ulong mfn)
    {
        if (mfn < RamFrames)
        {
            return (long)mfn;
        }
        ulong special = mfn - SpecialBase;
        return special < SpecialFrames ? (long)(RamFrames + special) : -1;
    }

    public ulong MfnOf(long index) =>
        (ulong)index < RamFrames ? (ulong)index : SpecialBase + (ulong)index - RamFrames;

    /// <summary>First byte of a machine frame, or null for a frame that is not the domain's.</summary>
    public byte* Frame(ulong mfn)
    {
        long index = IndexOf(mfn);
        return index < 0 ? null : _base + index * PageSize;
    }

    /// <summary>Dense frame index of a host pointer that <see cref="Frame"/> gave (any byte of it).</summary>
    public long IndexOfHost(byte* host) => (host - _base) >> PageShift;

    public bool Has(long index, FrameFlags flag) => (_flags[index] & (byte)flag) != 0;

    public void Set(long index, FrameFlags flag) => Change(index, 0, (byte)flag);

    public void Clear(long index, FrameFlags flag) => Change(index, (byte)flag, 0);

    /// <summary>Byte-wide atomic update by way of the aligned 32-bit word around it.</summary>
    private void Change(long index, byte clear, byte set)
    {
        ref int word = ref *(int*)(_flags + (index & ~3));
        int shift = (int)(index & 3) * 8;
        int old, wanted;
        do
        {
            old = Volatile.Read(ref word);
            wanted = (old & ~(clear << shift)) | (set << shift);
        }
        while (old != wanted && Interlocked.CompareExchange(ref word, wanted, old) != old);
    }

    /// <summary>
    /// To be called by the monitor after it wrote into a frame: marks it dirty and lets the engine
    /// drop translations made from those bytes.
    /// </summary>
    public void NoteWritten(long index, int offset, int length)
    {
        Interlocked.MemoryBarrier();
        if (Has(index, FrameFlags.Code))
        {
            _observer?.CodeWritten(index, offset, length);
        }
        Set(index, FrameFlags.Dirty);
    }

    /// <summary>Reads at a machine address (mfn * 4096 + offset); false when any byte is outside the domain.</summary>
    public bool TryRead(ulong maddr, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            byte* frame = Frame(maddr >> PageShift);
            if (frame == null)
            {
                return false;
            }
            int offset = (int)(maddr & (PageSize - 1));
            int n = Math.Min(destination.Length, PageSize - offset);
            new ReadOnlySpan<byte>(frame + offset, n).CopyTo(destination);
            destination = destination[n..];
            maddr += (ulong)n;
        }
        return true;
    }

    /// <summary>Writes at a machine address; false when any byte is outside the domain (earlier bytes are written).</summary>
    public bool TryWrite(ulong maddr, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            long index = IndexOf(maddr >> PageShift);
            if (index < 0)
            {
                return false;
            }
            int offset = (int)(maddr & (PageSize - 1));
            int n = Math.Min(source.Length, PageSize - offset);
            source[..n].CopyTo(new Span<byte>(_base + index * PageSize + offset, n));
            NoteWritten(index, offset, n);
            source = source[n..];
            maddr += (ulong)n;
        }
        return true;
    }

    /// <summary>The whole frame as a span; throws when the frame is not the domain's (our error, not the guest's).</summary>
    public Span<byte> Span(ulong mfn)
    {
        byte* frame = Frame(mfn);
        return frame != null ? new Span<byte>(frame, PageSize)
            : throw new ArgumentOutOfRangeException(nameof(mfn), $"machine frame {mfn:x} is not the domain's");
    }

    /// <summary>
    /// Consecutive RAM frames as one span, for bulk loading before the guest runs; at most 2 GiB - 1. Throws when
    /// they are not all RAM (our error: callers check against <see cref="RamFrames"/>).
    /// </summary>
    public Span<byte> RamSpan(ulong firstMfn, ulong frames) =>
        frames < (1UL << 31) / PageSize && firstMfn <= RamFrames && frames <= RamFrames - firstMfn
            ? new Span<byte>(_base + firstMfn * PageSize, (int)frames * PageSize)
            : throw new ArgumentOutOfRangeException(nameof(frames), $"frames {firstMfn:x}+{frames:x} are not all RAM");

    public void Dispose()
    {
        Libc.Munmap((nint)_base, _length);
        _flagMapping.Dispose();
        if (_fd >= 0)
        {
            Libc.Close(_fd);
        }
    }
}
