using System;
using System.Buffers.Binary;
using System.IO;
using Ryokan.Engine.Soft.Translate;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Stored;

/// <summary>One translation that a domain made: what it was made of, but for the guest's bytes.</summary>
internal readonly record struct NotedTranslation(BlockMode Mode, int Offset, ulong PageVa, bool HasEntry);

/// <summary>
/// A file to which a domain adds what it had to translate: mode, place and guest bytes of each block. It has no code: a
/// <see cref="StoreBuilder"/> translates it again, in a process that no guest has run in. Guarded by the engine's lock.
/// </summary>
internal sealed class TranslationJournal : IDisposable
{
    /// <summary>A guest that makes code for ever fills no disk.</summary>
    public const int MostBytes = 64 << 20;

    private const int EntryFlag = 0x80, HeadBytes = 12, ExtentBytes = 4, BufferBytes = 64 << 10;

    private readonly byte[] _note = new byte[HeadBytes + ExtentBytes * GuestFrames.PageSize + GuestFrames.PageSize];
    private FileStream? _file;
    private long _written;

    private TranslationJournal(FileStream file) => _file = file;

    /// <summary>Makes the file; null when that cannot be.</summary>
    public static TranslationJournal? TryCreate(string path)
    {
        try
        {
            return new TranslationJournal(new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.Read, BufferSize = BufferBytes,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Adds a note: mode and entry, number of extents, page offset, address of the page, extents, bytes.</summary>
    /// <param name="extents">which bytes of the page to note, ascending</param>
    public void Add(in NotedTranslation noted, ReadOnlySpan<Extent> extents, ReadOnlySpan<byte> page)
    {
        if (_file == null || extents.Length > byte.MaxValue)
        {
            return;
        }
        _note[0] = (byte)((int)noted.Mode | (noted.HasEntry ? EntryFlag : 0));
        _note[1] = (byte)extents.Length;
        BinaryPrimitives.WriteUInt16LittleEndian(_note.AsSpan(2), (ushort)noted.Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(_note.AsSpan(4), noted.PageVa);
        int at = HeadBytes, bytes = HeadBytes + extents.Length * ExtentBytes;
        foreach (Extent extent in extents)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(_note.AsSpan(at), (ushort)extent.Start);
            BinaryPrimitives.WriteUInt16LittleEndian(_note.AsSpan(at + 2), (ushort)extent.Length);
            at += ExtentBytes;
            page.Slice(extent.Start, extent.Length).CopyTo(_note.AsSpan(bytes));
            bytes += extent.Length;
        }
        _written += bytes;
        if (_written > MostBytes)
        {
            Abandon();
            return;
        }
        try
        {
            _file.Write(_note.AsSpan(0, bytes));
        }
        catch (IOException)
        {
            // No room: later domains translate for themselves, as this one did.
            Abandon();
        }
    }

    /// <summary>Reads the next note of a journal, which a hostile domain may have written.</summary>
    /// <param name="journal">goes on behind the note</param>
    /// <param name="page">4096 bytes; the noted ones come to their place, all others are zero</param>
    /// <returns>false at the end, or at what no domain of ours writes</returns>
    public static bool TryRead(ref ReadOnlySpan<byte> journal, Span<byte> page, out NotedTranslation noted)
    {
        const BlockMode Known = BlockMode.Kernel | BlockMode.Long | BlockMode.Backward | BlockMode.TaskSwitched | BlockMode.Ungrouped;
        noted = default;
        if (journal.Length < HeadBytes || journal.Length < HeadBytes + journal[1] * ExtentBytes)
        {
            return false;
        }
        noted = new NotedTranslation((BlockMode)(journal[0] & ~EntryFlag), BinaryPrimitives.ReadUInt16LittleEndian(journal[2..]),
            BinaryPrimitives.ReadUInt64LittleEndian(journal[4..]), (journal[0] & EntryFlag) != 0);
        ReadOnlySpan<byte> extents = journal.Slice(HeadBytes, journal[1] * ExtentBytes);
        journal = journal[(HeadBytes + extents.Length)..];
        if ((noted.Mode & ~Known) != 0 || noted.Offset >= GuestFrames.PageSize || noted.PageVa % GuestFrames.PageSize != 0
            || ((noted.Mode & BlockMode.Kernel) == 0 && noted.PageVa != 0))
        {
            return false;
        }
        page.Clear();
        for (; !extents.IsEmpty; extents = extents[ExtentBytes..])
        {
            int start = BinaryPrimitives.ReadUInt16LittleEndian(extents), length = BinaryPrimitives.ReadUInt16LittleEndian(extents[2..]);
            if (start + length > GuestFrames.PageSize || length > journal.Length)
            {
                return false;
            }
            journal[..length].CopyTo(page[start..]);
            journal = journal[length..];
        }
        return true;
    }

    private void Abandon()
    {
        try
        {
            _file?.Dispose();
        }
        catch (IOException)
        {
            // What it still held does not fit either.
        }
        _file = null;
    }

    public void Dispose() => Abandon();
}
