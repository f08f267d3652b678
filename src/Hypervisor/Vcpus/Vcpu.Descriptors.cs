using System;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Memory;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>GDT and LDT: tables of guest frames, and Xen's own selectors in GDT page 14.</summary>
internal sealed partial class Vcpu
{
    private const int DescriptorsPerFrame = GuestFrames.PageSize / sizeof(ulong);

    /// <summary>Most entries of the guest's part of the GDT (14 frames).</summary>
    public const uint MaxGdtEntries = (uint)VirtualLayout.FirstReservedGdtEntry;

    public const int MaxGdtFrames = (int)VirtualLayout.FirstReservedGdtPage;

    public const uint MaxLdtEntries = 8192;

    /// <summary>Index bit that names the LDT.</summary>
    private const ushort TableIndicator = 4;

    /// <summary>Flat descriptors of FLAT_RING3_CS64, FLAT_RING3_CS32 and FLAT_RING3_DS32.</summary>
    private const ulong FlatCode64 = 0x00affb000000ffff, FlatCode32 = 0x00cffb000000ffff, FlatData = 0x00cff3000000ffff;

    private readonly ulong[] _gdtFrames = new ulong[MaxGdtFrames];
    private uint _gdtEntries;
    private ulong _ldtBase;
    private uint _ldtEntries;

    /// <summary>Machine address of each LDT page once it was used; 0 = not looked up.</summary>
    private readonly ulong[] _ldtPages = new ulong[MaxLdtEntries / DescriptorsPerFrame];

    public uint GdtEntries => _gdtEntries;

    public ReadOnlySpan<ulong> GdtFrames => _gdtFrames.AsSpan(0, FramesFor(_gdtEntries));

    public (ulong Base, uint Entries) Ldt => (_ldtBase, _ldtEntries);

    public static int FramesFor(uint entries) => (int)((entries + DescriptorsPerFrame - 1) / DescriptorsPerFrame);

    /// <summary>set_gdt: frames of other use or other owners are refused (-EINVAL) and the old table stays.</summary>
    public long SetGdt(ReadOnlySpan<ulong> frames, uint entries)
    {
        for (int i = 0; i < frames.Length; i++)
        {
            if (frames[i] >= Frames.RamFrames || !Domain.PageTypes.TryGet(frames[i], PageType.Descriptors))
            {
                PutAll(frames[..i]);
                return -Errno.EINVAL;
            }
        }
        PutAll(GdtFrames);
        frames.CopyTo(_gdtFrames);
        _gdtEntries = entries;
        return 0;
    }

    private void PutAll(ReadOnlySpan<ulong> frames)
    {
        foreach (ulong mfn in frames)
        {
            Domain.PageTypes.Put(mfn);
        }
    }

    /// <summary>MMUEXT_SET_LDT; the frames behind the address are looked up when first used.</summary>
    public long SetLdt(ulong address, uint entries)
    {
        if (entries > MaxLdtEntries || (address & (GuestFrames.PageSize - 1)) != 0 && entries != 0
            || !PageTableEntry.IsCanonical(address))
        {
            return -Errno.EINVAL;
        }
        _ldtBase = address;
        _ldtEntries = entries;
        Array.Clear(_ldtPages);
        return 0;
    }

    /// <inheritdoc/>
    public bool TryReadDescriptor(ushort selector, out ulong descriptor)
    {
        uint index = (uint)selector >> 3;
        descriptor = 0;
        if ((selector & TableIndicator) != 0)
        {
            return TryReadLdt(index, out descriptor);
        }
        if (index >= MaxGdtEntries)
        {
            descriptor = Reserved(selector);
            return descriptor != 0;
        }
        if (index >= _gdtEntries)
        {
            return false;
        }
        return TryReadSlot(_gdtFrames[index / DescriptorsPerFrame], (int)(index % DescriptorsPerFrame), out descriptor);
    }

    private static ulong Reserved(ushort selector) => (selector | 3) switch
    {
        FlatSelector.KernelCs64 => FlatCode64,
        FlatSelector.KernelCs32 => FlatCode32,
        FlatSelector.KernelSs64 => FlatData,
        _ => 0,
    };

    private bool TryReadLdt(uint index, out ulong descriptor)
    {
        descriptor = 0;
        if (index >= _ldtEntries)
        {
            return false;
        }
        ref ulong page = ref _ldtPages[index / DescriptorsPerFrame];
        if (page == 0)
        {
            ulong va = _ldtBase + (ulong)(index / DescriptorsPerFrame) * GuestFrames.PageSize;
            if (!Cpu.TryTranslate(va, true, out page, out _))
            {
                page = 0;
                return false;
            }
        }
        return TryReadSlot(page >> GuestFrames.PageShift, (int)(index % DescriptorsPerFrame), out descriptor);
    }

    private bool TryReadSlot(ulong mfn, int slot, out ulong descriptor)
    {
        long frame = Frames.IndexOf(mfn);
        if (frame < 0)
        {
            descriptor = 0;
            return false;
        }
        descriptor = new Descriptor(Volatile.Read(ref Frames.UInt64At(frame, slot * sizeof(ulong)))).Raised.Raw;
        return true;
    }
}
