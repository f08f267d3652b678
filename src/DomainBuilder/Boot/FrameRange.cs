namespace Ryokan.DomainBuilder.Boot;

/// <summary>Consecutive frames, by pfn (equal to mfn in a domain that has just been built).</summary>
public readonly record struct FrameRange(ulong First, ulong Count)
{
    public ulong End => First + Count;

    public bool Contains(ulong pfn) => pfn - First < Count;
}
