using System;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Ryokan.Engine;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>
/// XSAVE area in standard format with x87, SSE, AVX and, where host and engine have it, AVX-512. Where the parts of
/// AVX-512 lie differs between processors: CPUID leaf 0Dh says it (SDM vol. 1, 13.4 and 13.5).
/// </summary>
[InlineArray(Length)]
public struct XsaveArea
{
    /// <summary>Room for every processor's layout; it ends at 2432 on AMD's and at 2688 on Intel's.</summary>
    public const int Length = 2752;
    public const int Fcw = 0, Fsw = 2, AbridgedFtw = 4, Mxcsr = 24, St0 = 32, Xmm0 = 160;
    public const int XstateBv = 512, YmmHigh0 = 576, RegisterStride = 16, AvxBytes = 832;

    /// <summary>Bits of XSTATE_BV.</summary>
    public const int X87 = 1, Sse = 2, Avx = 4, Opmask = 1 << 5, ZmmHigh = 1 << 6, HighZmm = 1 << 7;

    /// <summary>True when AVX-512 state is loaded and compared: the host and the engine have it.</summary>
    public static bool HasAvx512 { get; } = Avx512F.IsSupported && GuestFeatures.HasAvx512;

    public static int StateComponents { get; } = X87 | Sse | Avx | (HasAvx512 ? Opmask | ZmmHigh | HighZmm : 0);

    /// <summary>Offsets of k0-k7, of the upper halves of zmm0-zmm15, and of zmm16-zmm31; 0 where there is no AVX-512.</summary>
    public static int Opmask0 { get; } = OffsetOf(5);

    public static int ZmmHigh0 { get; } = OffsetOf(6);

    public static int Zmm16 { get; } = OffsetOf(7);

    private byte _first;

    private static int OffsetOf(int component)
    {
        (int bytes, int offset, _, _) = HasAvx512 ? X86Base.CpuId(0xd, component) : default;
        return offset + bytes <= Length ? offset
            : throw new PlatformNotSupportedException($"XSAVE component {component} lies at {offset}: the tests have no room");
    }
}

/// <summary>
/// All state that an instruction sequence starts from or ends with. The layout is shared with
/// <c>Native/oracle.c</c> (struct state).
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct CpuState
{
    public const int Bytes = 2944;

    public GprFile Gpr;
    public ulong Rip, Rflags, FsBase, GsBase;

    /// <summary>1: 32-bit code.</summary>
    public ulong Compatibility;
    private ulong _pad0, _pad1, _pad2;
    public XsaveArea Xsave;

    public ulong this[Gpr register]
    {
        readonly get => Gpr[(int)register];
        set => Gpr[(int)register] = value;
    }

    [UnscopedRef]
    public Span<byte> Vectors => Xsave;

    public ushort Fcw { get => Read16(XsaveArea.Fcw); set => Write16(XsaveArea.Fcw, value); }

    public ushort Fsw { get => Read16(XsaveArea.Fsw); set => Write16(XsaveArea.Fsw, value); }

    public uint Mxcsr
    {
        get => BinaryPrimitives.ReadUInt32LittleEndian(Vectors[XsaveArea.Mxcsr..]);
        set => BinaryPrimitives.WriteUInt32LittleEndian(Vectors[XsaveArea.Mxcsr..], value);
    }

    /// <summary>Low 128 bits of a vector register.</summary>
    [UnscopedRef]
    public Span<byte> Xmm(int n) => Vectors.Slice(XsaveArea.Xmm0 + n * XsaveArea.RegisterStride, 16);

    /// <summary>High 128 bits of a 256-bit vector register.</summary>
    [UnscopedRef]
    public Span<byte> YmmHigh(int n) => Vectors.Slice(XsaveArea.YmmHigh0 + n * XsaveArea.RegisterStride, 16);

    /// <summary>Bits 511:256 of the first 16 vector registers.</summary>
    [UnscopedRef]
    public Span<byte> ZmmHigh(int n) => Vectors.Slice(XsaveArea.ZmmHigh0 + n * 32, 32);

    /// <summary>One of the vector registers 16 to 31.</summary>
    [UnscopedRef]
    public Span<byte> HighZmm(int n) => Vectors.Slice(XsaveArea.Zmm16 + (n - 16) * 64, 64);

    /// <summary>k0-k7.</summary>
    [UnscopedRef]
    public Span<ulong> Opmasks => MemoryMarshal.Cast<byte, ulong>(Vectors.Slice(XsaveArea.Opmask0, 8 * sizeof(ulong)));

    /// <summary>ST(n) or MMn, 80 bits.</summary>
    [UnscopedRef]
    public Span<byte> St(int n) => Vectors.Slice(XsaveArea.St0 + n * XsaveArea.RegisterStride, 10);

    /// <summary>
    /// The state after FNINIT and the default MXCSR, with every register zero and the rip given. IF is set,
    /// as it reads in ring 3.
    /// </summary>
    public static CpuState At(ulong rip)
    {
        CpuState state = default;
        state.Rip = rip;
        state.Rflags = (ulong)(X86.Rflags.Reserved1 | X86.Rflags.IF);
        state.Fcw = 0x37f;
        state.Mxcsr = 0x1f80;
        state.Vectors[XsaveArea.XstateBv] = (byte)XsaveArea.StateComponents;
        return state;
    }

    /// <summary>
    /// Makes two areas comparable: a component whose XSTATE_BV bit is clear is in its initial state whatever
    /// its bytes say (SDM vol. 1, 13.8.1).
    /// </summary>
    public void Normalize()
    {
        Span<byte> area = Vectors;
        int absent = ~area[XsaveArea.XstateBv];
        if ((absent & XsaveArea.X87) != 0)
        {
            area[..XsaveArea.Mxcsr].Clear();
            area.Slice(XsaveArea.St0, 8 * XsaveArea.RegisterStride).Clear();
            Fcw = 0x37f;
        }
        if ((absent & XsaveArea.Sse) != 0)
        {
            area.Slice(XsaveArea.Xmm0, 256).Clear();
        }
        if ((absent & XsaveArea.Avx) != 0)
        {
            area.Slice(XsaveArea.YmmHigh0, 256).Clear();
        }
        NormalizeAvx512(absent);
        area[XsaveArea.XstateBv] = (byte)XsaveArea.StateComponents;
    }

    private void NormalizeAvx512(int absent)
    {
        if (!XsaveArea.HasAvx512)
        {
            return;
        }
        if ((absent & XsaveArea.Opmask) != 0)
        {
            Opmasks.Clear();
        }
        if ((absent & XsaveArea.ZmmHigh) != 0)
        {
            Vectors.Slice(XsaveArea.ZmmHigh0, 16 * 32).Clear();
        }
        if ((absent & XsaveArea.HighZmm) != 0)
        {
            Vectors.Slice(XsaveArea.Zmm16, 16 * 64).Clear();
        }
    }

    private ushort Read16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(Vectors[offset..]);

    private void Write16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Vectors[offset..], value);
}
