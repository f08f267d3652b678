using System;
using System.Buffers.Binary;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Ryokan.Engine.Soft.Translate;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Stored;

/// <summary>Head of a store's file.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct StoreHead
{
    public const ulong Magic = 0x31534e4152545952; // "RYTRANS1"
    public const int IdentityBytes = 1024;

    public ulong Mark;

    /// <summary>Of the program, the options and the host's processor: text.</summary>
    public fixed byte Identity[IdentityBytes];

    /// <summary>Where the index begins, and its entries: a power of two.</summary>
    public long Index, Entries;
}

/// <summary>
/// Translations that were made before, in a file: an index by a hash of place, mode and the first 16 bytes of code, then looked up by all guest bytes
/// they rest on. Read only; guarded by the engine's lock. Generated code comes out of it, so nobody whom a guest could have taken over may write it.
/// </summary>
internal sealed unsafe class TranslationStore : IDisposable
{
    /// <summary>Index entries: hash, and place in the file in units of 8 bytes; 0: none.</summary>
    private readonly ulong[] _index;
    private readonly SafeFileHandle _file;
    private readonly long _end;

    /// <summary>
    /// Pieces of the file: translations that were made one after the other are needed so again, but kernel and programs take turns, each
    /// somewhere else.
    /// </summary>
    private readonly Piece[] _pieces = new Piece[MostPieces];
    private long _reads;

    private struct Piece
    {
        public byte[]? Bytes;
        public long At;
        public int Length;

        /// <summary>Number of the look-up that used it last.</summary>
        public long Used;
    }

    private const int MostPieces = 16;

    public const int PieceBytes = 64 << 10;

    /// <summary>Largest record that is kept.</summary>
    public const int MostRecordBytes = 32 << 10;

    private TranslationStore(SafeFileHandle file, ulong[] index, in StoreHead head) =>
        (_file, _index, _end) = (file, index, head.Index);

    /// <summary>Opens a store; null when there is none, or it is of another program, processor or set of options, or damaged.</summary>
    public static TranslationStore? TryOpen(string path, SoftEngineOptions options)
    {
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path);
            StoreHead head = default;
            Span<byte> bytes = new(&head, sizeof(StoreHead));
            if (RandomAccess.Read(file, bytes, 0) == sizeof(StoreHead) && head.Mark == StoreHead.Magic
                && new ReadOnlySpan<byte>(head.Identity, StoreHead.IdentityBytes).SequenceEqual(Identity(options))
                && head.Entries is > 0 and <= 1 << 24 && (head.Entries & (head.Entries - 1)) == 0 && head.Index >= sizeof(StoreHead)
                && RandomAccess.GetLength(file) == head.Index + head.Entries * sizeof(ulong))
            {
                ulong[] index = GC.AllocateUninitializedArray<ulong>((int)head.Entries);
                Span<byte> rest = MemoryMarshal.AsBytes(index.AsSpan());
                for (long at = head.Index; !rest.IsEmpty;)
                {
                    int count = RandomAccess.Read(file, rest, at);
                    if (count == 0)
                    {
                        throw new EndOfStreamException();
                    }
                    rest = rest[count..];
                    at += count;
                }
                var store = new TranslationStore(file, index, head);
                file = null;
                return store;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // As good as none.
        }
        finally
        {
            file?.Dispose();
        }
        return null;
    }

    /// <summary>What a translation depends on beside guest code, as the head has it: not a digest, for which each domain would load the system's library for cryptography.</summary>
    public static byte[] Identity(SoftEngineOptions options)
    {
        string text = $"{typeof(TranslationStore).Module.ModuleVersionId} {typeof(Iced.Intel.Decoder).Module.ModuleVersionId} "
            + $"{sizeof(Site)} {options with { DumpFolder = null, Store = null, Journal = null, CodeCacheMegabytes = 0 }} {HostCpuid.Fingerprint}";
        byte[] identity = new byte[StoreHead.IdentityBytes];
        Encoding.ASCII.GetBytes(text, identity);
        return identity;
    }

    /// <summary>Bytes of code that the index goes by.</summary>
    public const int HashedBytes = 16;

    /// <summary>By what the index knows a translation: the code has at least 1 byte, and what is behind it is most often the same too.</summary>
    public static uint Hash(BlockMode mode, int offset, ulong pageVa, ReadOnlySpan<byte> page)
    {
        ulong first, second;
        if (offset <= GuestFrames.PageSize - HashedBytes)
        {
            first = BinaryPrimitives.ReadUInt64LittleEndian(page[offset..]);
            second = BinaryPrimitives.ReadUInt64LittleEndian(page[(offset + 8)..]);
        }
        else
        {
            Span<byte> padded = stackalloc byte[HashedBytes];
            padded.Clear();
            page[offset..].CopyTo(padded);
            first = BinaryPrimitives.ReadUInt64LittleEndian(padded);
            second = BinaryPrimitives.ReadUInt64LittleEndian(padded[8..]);
        }
        ulong hash = (pageVa + ((ulong)mode << 16) + (uint)offset) * 0x9e3779b97f4a7c15;
        hash = (hash ^ hash >> 32 ^ first) * 0xd6e8feb86659fd93;
        hash = (hash ^ hash >> 32 ^ second) * 0xd6e8feb86659fd93;
        return (uint)(hash >> 32);
    }

    /// <summary>The record of a translation for that place of a page with those bytes; empty when there is none.</summary>
    /// <param name="page">4096 bytes</param>
    public ReadOnlySpan<byte> Find(BlockMode mode, int offset, ulong pageVa, ReadOnlySpan<byte> page)
    {
        uint hash = Hash(mode, offset, pageVa, page);
        uint mask = (uint)_index.Length - 1;
        for (uint n = 0; n <= mask; n++)
        {
            ulong entry = _index[(hash + n) & mask];
            if (entry == 0)
            {
                break;
            }
            if ((uint)(entry >> 32) == hash)
            {
                ReadOnlySpan<byte> record = Read((long)(uint)entry * StoredBlock.Alignment);
                if (!record.IsEmpty)
                {
                    ref readonly StoredBlock head = ref StoredBlock.Of(record);
                    if (head.Mode == (byte)mode && head.Offset == offset && head.PageVa == pageVa && head.IsOf(record, page))
                    {
                        return record;
                    }
                }
            }
        }
        return default;
    }

    /// <summary>Where the records are, in the order in which they were made.</summary>
    public long[] Places()
    {
        long[] places = [.. _index.Where(e => e != 0).Select(e => (long)(uint)e * StoredBlock.Alignment)];
        Array.Sort(places);
        return places;
    }

    /// <summary>The record at a place of the file, good until the next look-up; empty when it is damaged.</summary>
    public ReadOnlySpan<byte> Read(long at)
    {
        ref Piece piece = ref PieceWith(at);
        piece.Used = ++_reads;
        ReadOnlySpan<byte> record = RecordIn(piece, at);
        return !record.IsEmpty && StoredBlock.IsWhole(record) ? record : default;
    }

    /// <summary>A piece that has the record at a place of the file; when there is none, the one that was used longest ago is filled from there.</summary>
    private ref Piece PieceWith(long at)
    {
        ref Piece oldest = ref _pieces[0];
        foreach (ref Piece piece in _pieces.AsSpan())
        {
            if (!RecordIn(piece, at).IsEmpty)
            {
                return ref piece;
            }
            if (piece.Used < oldest.Used)
            {
                oldest = ref piece;
            }
        }
        Fill(ref oldest, at);
        return ref oldest;
    }

    /// <summary>The record at a place of the file when all of it is in a piece, else empty.</summary>
    private static ReadOnlySpan<byte> RecordIn(in Piece piece, long at)
    {
        long start = at - piece.At;
        if (start < 0 || start + sizeof(StoredBlock) > piece.Length)
        {
            return default;
        }
        ReadOnlySpan<byte> rest = piece.Bytes.AsSpan((int)start, piece.Length - (int)start);
        int bytes = StoredBlock.Of(rest).Bytes;
        return bytes >= sizeof(StoredBlock) && bytes <= rest.Length ? rest[..bytes] : default;
    }

    private void Fill(ref Piece piece, long at)
    {
        piece.Bytes ??= GC.AllocateUninitializedArray<byte>(PieceBytes);
        (piece.At, piece.Length) = (at, 0);
        try
        {
            piece.Length = at < _end ? RandomAccess.Read(_file, piece.Bytes.AsSpan(0, (int)Math.Min(PieceBytes, _end - at)), at) : 0;
        }
        catch (IOException)
        {
            // A bad place of the disk: translated anew.
        }
    }

    public void Dispose() => _file.Dispose();
}
