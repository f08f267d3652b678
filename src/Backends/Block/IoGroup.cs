using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Ryokan.GuestMemory;
using Ryokan.Linux.Interop.Files;

namespace Ryokan.Backends.Block;

/// <summary>Requests that are carried out as one: a single one, or reads or writes of neighbouring sectors.</summary>
internal sealed class IoGroup
{
    /// <summary>Merging helps small requests; larger ones gain nothing and answer late.</summary>
    private const ulong MaxMergedBytes = 256 << 10;

    private readonly List<IoVector> _vectors = [];

    public List<BlockRequest> Requests { get; } = [];

    public byte Action => Requests[0].Action;

    public ulong Offset => Requests[0].Offset;

    public ulong Length { get; private set; }

    public ReadOnlySpan<IoVector> Vectors => CollectionsMarshal.AsSpan(_vectors);

    /// <summary>Adds a request when the group is empty or it goes on where the group ends.</summary>
    public bool TryAdd(BlockRequest request, GuestFrames frames, bool mayMerge)
    {
        bool goesOn = Requests.Count == 0 || (mayMerge && request.Action == Action
            && request.Offset == Offset + Length && Length + request.Length <= MaxMergedBytes);
        if (!goesOn)
        {
            return false;
        }
        Requests.Add(request);
        Length += request.Length;
        request.AddVectors(frames, _vectors);
        return true;
    }

    public void Clear()
    {
        Requests.Clear();
        _vectors.Clear();
        Length = 0;
    }
}
