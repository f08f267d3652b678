using System;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ryokan.Engine;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>XSAVE area in standard format with x87, SSE and AVX: the offsets of SDM vol. 1, 13.4.</summary>
[InlineArray(Length)]
public struct XsaveArea
{
    public const int Length = 832, Fcw = 0, Fsw = 2, AbridgedFtw = 4, Mxcsr = 24, St0 = 32, Xmm0 = 160;
    public const int XstateBv = 512, YmmHigh0 = 576, RegisterStride = 16, StateComponents = 7;

    private byte _first;
}

/// <summary>
/// All state that an instruction sequence starts from or ends with. The layout is shared with
/// <c>Native/oracle.c</c> (struct state).
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct CpuState
{
    public const int Bytes = 1024;

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
        state.Vectors[XsaveArea.XstateBv] = XsaveArea.StateComponents;
        return state;
    }

    /// <summary>
    /// Makes two areas comparable: a component whose XSTATE_BV bit is clear is in its initial state whatever
    /// its bytes say (SDM vol. 1, 13.8.1).
    /// </summary>
    public void Normalize()
    {
        Span<byte> area = Vectors;
        byte present = area[XsaveArea.XstateBv];
        if ((present & 1) == 0)
        {
            area[..XsaveArea.Mxcsr].Clear();
            area.Slice(XsaveArea.St0, 8 * XsaveArea.RegisterStride).Clear();
            Fcw = 0x37f;
        }
        if ((present & 2) == 0)
        {
            area.Slice(XsaveArea.Xmm0, 256).Clear();
        }
        if ((present & 4) == 0)
        {
            area[XsaveArea.YmmHigh0..].Clear();
        }
        area[XsaveArea.XstateBv] = XsaveArea.StateComponents;
    }

    private ushort Read16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(Vectors[offset..]);

    private void Write16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Vectors[offset..], value);
}
