using System;
using System.Collections.Generic;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Grants;
using Ryokan.Xen.Abi;

namespace Ryokan.Backends.Rings;

/// <summary>
/// The granted frames of one ring, in the ring's order: 1, 2, 4, ... pages that need not be neighbours. The
/// guest may change every byte at any time.
/// </summary>
public sealed class RingPages : IDisposable
{
    /// <summary>Most pages of a ring (Xen's front ends use at most 16).</summary>
    public const int MaxPages = 16;

    private readonly GuestFrames _frames;
    private readonly GrantMapping[] _mappings;

    private RingPages(GuestFrames frames, GrantMapping[] mappings) =>
        (_frames, _mappings) = (frames, mappings);

    public int Length => _mappings.Length * GuestFrames.PageSize;

    /// <summary>Maps the frames for reading and writing, all or none.</summary>
    /// <exception cref="FrontendException">a grant is none, or a frame is granted read-only</exception>
    public static RingPages Map(GuestAccess guest, ReadOnlySpan<uint> references)
    {
        if (references.Length is 0 or > MaxPages || (references.Length & (references.Length - 1)) != 0)
        {
            throw new FrontendException($"a ring of {references.Length} pages");
        }
        List<GrantMapping> mappings = [];
        foreach (uint reference in references)
        {
            short status = guest.Grants.Map(reference, readOnly: false, out GrantMapping? mapping);
            if (status != GrantStatus.Okay)
            {
                mappings.ForEach(m => m.Dispose());
                throw new FrontendException($"ring page: grant {reference} cannot be mapped (status {status})");
            }
            mappings.Add(mapping!);
        }
        return new RingPages(guest.Frames, [.. mappings]);
    }

    /// <summary>A 32-bit field of the first page, for volatile access; offset a multiple of 4.</summary>
    internal ref uint Field(int offset) => ref _frames.UInt32At(_mappings[0].FrameIndex, offset);

    /// <summary>Copies out of the ring, across its pages.</summary>
    internal void Read(int offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            Span<byte> source = From(offset);
            int n = Math.Min(source.Length, destination.Length);
            source[..n].CopyTo(destination);
            destination = destination[n..];
            offset += n;
        }
    }

    /// <summary>Copies into the ring, across its pages.</summary>
    internal void Write(int offset, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            Span<byte> destination = From(offset);
            int n = Math.Min(source.Length, destination.Length);
            source[..n].CopyTo(destination);
            source = source[n..];
            offset += n;
        }
    }

    private Span<byte> From(int offset) =>
        _frames.SpanAt(_mappings[offset / GuestFrames.PageSize].FrameIndex)[(offset % GuestFrames.PageSize)..];

    /// <summary>Marks all pages as written, for migration and for translations made from them.</summary>
    internal void NoteWritten()
    {
        foreach (GrantMapping mapping in _mappings)
        {
            mapping.NoteWritten(0, GuestFrames.PageSize);
        }
    }

    public void Dispose()
    {
        foreach (GrantMapping mapping in _mappings)
        {
            mapping.Dispose();
        }
    }
}
