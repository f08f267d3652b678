using System;
using System.Collections.Generic;
using System.IO;
using Microsoft.Win32.SafeHandles;
using Ryokan.GuestMemory;
using Ryokan.Linux.Interop.Decompression;

namespace Ryokan.DomainBuilder.Kernel;

/// <summary>
/// Puts a kernel's PT_LOAD segments at their physical addresses in guest memory that is still all zero
/// (so the part of a segment that is not in the file needs no store).
/// </summary>
internal sealed class KernelLoader : IImageSink
{
    private const long MaxFileBytes = 512 << 20;

    /// <summary>A PT_NOTE segment above this is not one.</summary>
    private const ulong MaxNoteBytes = 1 << 20;

    private readonly GuestFrames _frames;
    private readonly ulong _pages;
    private readonly ulong _paddrOffset;
    private readonly List<ElfSegment> _loads = [];
    private ElfImage? _image;
    private ulong _first = ulong.MaxValue;
    private ulong _end;

    private KernelLoader(GuestFrames frames, ulong pages, ulong paddrOffset) =>
        (_frames, _pages, _paddrOffset) = (frames, pages, paddrOffset);

    /// <summary>
    /// Loads a bzImage, an ELF file or a gzipped ELF file into the first <paramref name="pages"/> frames.
    /// </summary>
    /// <exception cref="DomainBuildException">with key "kernel" or "memory"</exception>
    public static LoadedKernel Load(string path, GuestFrames frames, ulong pages)
    {
        using SafeFileHandle handle = HostFile.Open("kernel", path, MaxFileBytes, out long length);
        byte[] file = GC.AllocateUninitializedArray<byte>((int)length);
        HostFile.ReadAll("kernel", path, handle, file);
        try
        {
            return BzImage.IsBzImage(file) ? LoadBzImage(file, frames, pages)
                : LoadElf(Gunzip(file), frames, pages);
        }
        catch (KernelFormatException e)
        {
            throw new DomainBuildException("kernel", path, e.Message);
        }
    }

    private static LoadedKernel LoadBzImage(byte[] file, GuestFrames frames, ulong pages)
    {
        BzImage header = BzImage.Parse(file);
        KernelLoader loader = new(frames, pages, 0);
        Payload.Unpack(file.AsMemory(header.PayloadOffset, header.PayloadLength), loader);
        return loader.Finish();
    }

    private static LoadedKernel LoadElf(byte[] file, GuestFrames frames, ulong pages)
    {
        if (!ElfImage.IsElf(file))
        {
            throw new KernelFormatException("neither a bzImage nor an ELF file");
        }
        XenNotes notes = new();
        foreach (ElfSegment segment in ElfImage.Parse(file, file.Length).Segments)
        {
            if (segment.Type == ElfSegment.Note && segment.FileBytes <= MaxNoteBytes)
            {
                notes.Add(file.AsSpan((int)segment.Offset, (int)segment.FileBytes));
            }
        }
        notes.RequirePv();
        KernelLoader loader = new(frames, pages, notes.PaddrOffsetBytes);
        loader.Begin(file, file.Length);
        loader.Put(0, file);
        return loader.Finish(notes);
    }

    private static byte[] Gunzip(byte[] file)
    {
        if (Payload.Recognise(file) != PayloadCodec.Gzip)
        {
            return file;
        }
        try
        {
            using GzipDecoder gzip = new();
            using MemoryStream unpacked = new();
            ReadOnlySpan<byte> rest = file;
            byte[] chunk = new byte[1 << 16];
            for (DecodeStep step = default; !step.Finished; rest = rest[step.Consumed..])
            {
                step = gzip.Decode(rest, chunk);
                unpacked.Write(chunk, 0, step.Produced);
                if (unpacked.Length > MaxFileBytes)
                {
                    throw new KernelFormatException($"it unpacks to more than {MaxFileBytes >> 20} MiB");
                }
                if (step is { Finished: false, Consumed: 0, Produced: 0 })
                {
                    throw new KernelFormatException("truncated: the gzip file has no end");
                }
            }
            return unpacked.ToArray();
        }
        catch (DecodeException e)
        {
            throw new KernelFormatException($"corrupt: {e.Message}");
        }
    }

    public void Begin(ReadOnlySpan<byte> head, long imageLength)
    {
        _image = ElfImage.Parse(head, imageLength);
        foreach (ElfSegment segment in _image.Segments)
        {
            if (segment.Type == ElfSegment.Load && segment.MemoryBytes != 0)
            {
                _loads.Add(Place(segment));
            }
        }
        if (_loads.Count == 0)
        {
            throw new KernelFormatException("the ELF file has nothing to load");
        }
        if (_end > _pages)
        {
            throw new DomainBuildException("memory", null,
                $"{_pages >> 8} MiB is too little: the kernel alone ends at {(_end + 255) >> 8} MiB");
        }
    }

    /// <summary>
    /// The segment with its physical address relative to the guest's first frame, checked to make sense.
    /// </summary>
    private ElfSegment Place(ElfSegment segment)
    {
        ulong start = segment.PhysicalAddress - _paddrOffset;
        ulong end = start + segment.MemoryBytes;
        if (start > segment.PhysicalAddress || end < start || end > Payload.MaxImageBytes * 4)
        {
            throw new KernelFormatException(
                $"an ELF segment wants to be at physical address {segment.PhysicalAddress:x}");
        }
        _first = Math.Min(_first, start >> GuestFrames.PageShift);
        _end = Math.Max(_end, (end + GuestFrames.PageSize - 1) >> GuestFrames.PageShift);
        return segment with { PhysicalAddress = start };
    }

    public Span<byte> Direct(long offset, int length)
    {
        ElfSegment? only = null;
        foreach (ElfSegment segment in _loads)
        {
            if ((ulong)offset < segment.Offset + segment.FileBytes
                && segment.Offset < (ulong)(offset + length))
            {
                if (only != null || !segment.Holds((ulong)offset, (ulong)length))
                {
                    return default;
                }
                only = segment;
            }
        }
        return only is { } s ? At(s.PhysicalAddress + (ulong)offset - s.Offset, length) : default;
    }

    public void Put(long offset, ReadOnlySpan<byte> bytes)
    {
        foreach (ElfSegment segment in _loads)
        {
            ulong from = Math.Max((ulong)offset, segment.Offset);
            ulong to = Math.Min((ulong)offset + (ulong)bytes.Length, segment.Offset + segment.FileBytes);
            if (from < to)
            {
                bytes.Slice((int)(from - (ulong)offset), (int)(to - from))
                    .CopyTo(At(segment.PhysicalAddress + from - segment.Offset, (int)(to - from)));
            }
        }
    }

    private Span<byte> At(ulong physical, int length)
    {
        ulong first = physical >> GuestFrames.PageShift;
        ulong last = (physical + (ulong)length - 1) >> GuestFrames.PageShift;
        return _frames.RamSpan(first, last - first + 1)
            .Slice((int)(physical & (GuestFrames.PageSize - 1)), length);
    }

    /// <summary>
    /// The notes lie inside a loaded segment (they are allocated sections), so they are read back from there.
    /// </summary>
    private XenNotes ReadNotes()
    {
        XenNotes notes = new();
        foreach (ElfSegment note in _image!.Segments)
        {
            if (note.Type != ElfSegment.Note || note.FileBytes is 0 or > MaxNoteBytes)
            {
                continue;
            }
            foreach (ElfSegment load in _loads)
            {
                if (load.Holds(note.Offset, note.FileBytes))
                {
                    notes.Add(At(load.PhysicalAddress + note.Offset - load.Offset, (int)note.FileBytes));
                    break;
                }
            }
        }
        notes.RequirePv();
        return notes;
    }

    private LoadedKernel Finish(XenNotes? known = null)
    {
        XenNotes notes = known ?? ReadNotes();
        if (notes.PaddrOffsetBytes != _paddrOffset)
        {
            throw new KernelFormatException("a bzImage with a PADDR_OFFSET note is not served");
        }
        ulong entry = notes.EntryVa ?? _image!.Entry;
        ulong entryPfn = (entry - notes.VirtBaseVa) >> GuestFrames.PageShift;
        return entryPfn >= _first && entryPfn < _end ? new LoadedKernel(notes, entry, _first, _end)
            : throw new KernelFormatException($"the entry point {entry:x} is not inside the kernel");
    }
}
