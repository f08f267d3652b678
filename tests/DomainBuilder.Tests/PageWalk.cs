using System.Buffers.Binary;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.DomainBuilder.Tests;

/// <summary>Walks page tables the way the CPU does, independently of the code that wrote them.</summary>
internal static class PageWalk
{
    /// <summary>Machine address and leaf entry behind an address, or null.</summary>
    public static (ulong Maddr, ulong Leaf)? Translate(GuestFrames frames, ulong root, ulong va)
    {
        ulong mfn = root;
        for (int shift = 39; ; shift -= 9)
        {
            int index = (int)(va >> shift) & 511;
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(frames.Span(mfn)[(index * 8)..]);
            if ((entry & PageTableEntry.Present) == 0)
            {
                return null;
            }
            mfn = (entry & PageTableEntry.AddressMask) >> 12;
            if (shift == 12)
            {
                return ((mfn << 12) + (va & 0xfff), entry);
            }
        }
    }
}
