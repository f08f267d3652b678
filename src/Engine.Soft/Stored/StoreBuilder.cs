using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using Ryokan.Engine.Soft.Emit;
using Ryokan.Engine.Soft.Translate;
using Ryokan.GuestMemory;

namespace Ryokan.Engine.Soft.Stored;

/// <summary>Adds to a store what a journal notes, by translating it: the journal is a guest's word, the store is ours.</summary>
public static unsafe class StoreBuilder
{
    /// <summary>
    /// A store that would become larger loses the older half of what it has, and what of a journal does not fit then is left out; what is still needed
    /// comes back by the next journal.
    /// </summary>
    private const long MostBytes = 256 << 20;

    /// <summary>Most bytes of the index for one translation: of its entries, a power of two, at least a quarter is used.</summary>
    private const int IndexBytes = 4 * sizeof(ulong);

    /// <summary>Bytes of a store for one of a journal, about.</summary>
    private const long Growth = 8;

    /// <summary>Makes a new store of the old one, if any, and the journal, and puts it in the old one's place.</summary>
    /// <param name="mostBytes">of the store</param>
    /// <returns>translations added, and all of them</returns>
    /// <exception cref="IOException">the journal cannot be read or the store not be written; it is as it was then</exception>
    public static (long Added, long All) Build(string journalPath, string storePath, SoftEngineOptions options, long mostBytes = MostBytes)
    {
        if (new FileInfo(journalPath).Length > TranslationJournal.MostBytes)
        {
            throw new IOException($"{journalPath}: longer than a domain of ours makes it");
        }
        byte[] journal = File.ReadAllBytes(journalPath);
        using var frames = new GuestFrames(1, 1);
        using var cache = new CodeCache(1);
        var translator = new Translator(options, new Routines(cache, options.InlineFills), cache, frames);
        using TranslationStore? old = TranslationStore.TryOpen(storePath, options);
        string partial = storePath + ".new";
        long added = 0;
        List<ulong> index = [];
        HashSet<ulong> seen = [];
        try
        {
            using (var file = new FileStream(partial, new FileStreamOptions
            {
                Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.None, BufferSize = 1 << 20,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                file.Write(new byte[sizeof(StoreHead)]);
                byte[] page = new byte[GuestFrames.PageSize];
                if (old != null)
                {
                    long[] places = old.Places();
                    long room = mostBytes - journal.Length * Growth;
                    foreach (long at in places.AsSpan(new FileInfo(storePath).Length < room ? 0 : places.Length / 2))
                    {
                        if (old.Read(at) is { IsEmpty: false } record)
                        {
                            Append(file, index, seen, record, mostBytes);
                        }
                    }
                }
                ReadOnlySpan<byte> rest = journal;
                while (TranslationJournal.TryRead(ref rest, page, out NotedTranslation noted))
                {
                    ReadOnlySpan<byte> record = translator.Record(noted, page);
                    if (record.Length is > 0 and <= TranslationStore.MostRecordBytes)
                    {
                        added += Append(file, index, seen, record, mostBytes) ? 1 : 0;
                    }
                }
                WriteIndex(file, index, options);
            }
            File.Move(partial, storePath, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
        return (added, index.Count);
    }

    /// <summary>Adds a record; false when there is no room, or it is there already: what is made of the same bytes is the same.</summary>
    private static bool Append(Stream file, List<ulong> index, HashSet<ulong> seen, ReadOnlySpan<byte> record, long mostBytes)
    {
        ref readonly StoredBlock head = ref StoredBlock.Of(record);
        bool fits = file.Position + record.Length + (index.Count + 1L) * IndexBytes <= mostBytes;
        if (!fits || !seen.Add((ulong)head.Hash << 32 | head.Checksum))
        {
            return false;
        }
        index.Add((ulong)head.Hash << 32 | (ulong)(file.Position / StoredBlock.Alignment));
        file.Write(record);
        return true;
    }

    private static void WriteIndex(FileStream file, List<ulong> index, SoftEngineOptions options)
    {
        int entries = 1024;
        while (entries < index.Count * 2)
        {
            entries *= 2;
        }
        ulong[] table = new ulong[entries];
        foreach (ulong entry in index)
        {
            uint at = (uint)(entry >> 32) & (uint)(entries - 1);
            while (table[at] != 0)
            {
                at = (at + 1) & (uint)(entries - 1);
            }
            table[at] = entry;
        }
        StoreHead head = new() { Mark = StoreHead.Magic, Index = file.Position, Entries = entries };
        TranslationStore.Identity(options).CopyTo(new Span<byte>(head.Identity, StoreHead.IdentityBytes));
        file.Write(MemoryMarshal.AsBytes(table.AsSpan()));
        file.Position = 0;
        file.Write(new ReadOnlySpan<byte>(&head, sizeof(StoreHead)));
    }
}
