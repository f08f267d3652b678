using System;
using System.Runtime.Intrinsics.X86;
using Ryokan.Linux.Interop;

namespace Ryokan.Engine.Soft;

/// <summary>
/// What vector state the host's processor and kernel have, and where it lies in an XSAVE image of the standard format (Intel SDM vol. 1,
/// 13.4; CPUID leaf 0Dh). The guest's images have the same layout, for the host's own instructions write them.
/// </summary>
internal static unsafe class HostState
{
    public const int LegacyBytes = 512, HeaderEnd = 576;

    /// <summary>State components: bit numbers in XCR0.</summary>
    public const int Avx = 2, Opmask = 5, UpperZmm = 6, HighZmm = 7;

    private const ulong UpToAvx = 1 | 2 | 1 << Avx, BeyondAvx = 1 << Opmask | 1 << UpperZmm | 1 << HighZmm;

    /// <summary>AVX-512 F, CD, DQ, BW and VL, and the host's kernel keeps its state: what every processor has that has any but the first.</summary>
    public static bool HasAvx512 { get; } = AskForAvx512();

    /// <summary>XCR0 bits that a guest may set: x87, SSE, AVX, and all of AVX-512 or none.</summary>
    public static ulong Xcr0 => HasAvx512 ? UpToAvx | BeyondAvx : UpToAvx;

    /// <summary>The host has XSAVEC.</summary>
    public static bool HasCompaction { get; } = (X86Base.CpuId(0xd, 1).Eax & 2) != 0;

    /// <summary>Bytes of a guest's XSAVE image in the standard format.</summary>
    public static int ImageBytes { get; } = HasAvx512 ? Math.Max(End(HighZmm), Math.Max(End(Opmask), End(UpperZmm))) : End(Avx);

    public static int Offset(int component) => X86Base.CpuId(0xd, component).Ebx;

    public static int Size(int component) => X86Base.CpuId(0xd, component).Eax;

    /// <summary>Bytes of an image in the compacted format with all components that a guest may have.</summary>
    public static int CompactedBytes
    {
        get
        {
            int end = HeaderEnd;
            for (int component = Avx; component <= HighZmm; component++)
            {
                if ((Xcr0 >> component & 1) != 0)
                {
                    bool aligned = (X86Base.CpuId(0xd, component).Ecx & 2) != 0;
                    end = (aligned ? (end + 63) & ~63 : end) + Size(component);
                }
            }
            return end;
        }
    }

    private static int End(int component) => Offset(component) + Size(component);

    private static bool AskForAvx512()
    {
        if (!HostCpuid.IsSufficient)
        {
            return false;
        }
        const int all = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30 | 1 << 31;
        (_, int ebx, _, _) = X86Base.CpuId(7, 0);
        return (ebx & all) == all && (ReadXcr0() & BeyondAvx) == BeyondAvx;
    }

    /// <summary>XGETBV, which .NET has no intrinsic for.</summary>
    private static ulong ReadXcr0()
    {
        ReadOnlySpan<byte> code = [0x31, 0xc9, 0x0f, 0x01, 0xd0, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3];
        nint page = Libc.Mmap(0, 4096, Libc.ProtRead | Libc.ProtWrite | Libc.ProtExec, Libc.MapPrivate | Libc.MapAnonymous, -1, 0);
        if (page == -1)
        {
            return 0;
        }
        code.CopyTo(new Span<byte>((void*)page, 4096));
        ulong value = ((delegate* unmanaged<ulong>)page)();
        Libc.Munmap(page, 4096);
        return value;
    }
}
