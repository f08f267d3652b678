using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ryokan.X86;

namespace Ryokan.Engine;

/// <summary>Sixteen general registers, indexed by <see cref="Gpr"/>.</summary>
[InlineArray(16)]
public struct GprFile
{
    private ulong _first;
}

/// <summary>Six segment selectors, indexed by <see cref="SegmentRegister"/>.</summary>
[InlineArray(6)]
public struct SelectorFile
{
    private ushort _first;
}

/// <summary>
/// The integer state of a vCPU as the guest sees it. Exact whenever the vCPU is not inside
/// <see cref="IVcpu.Run"/>; the owner thread may then change any of it. Offsets are used by
/// generated code: keep the order.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct VcpuRegisters
{
    public GprFile Gpr;
    public ulong Rip;

    /// <summary>All of RFLAGS. IF reads as 1 and IOPL as 0, as for code in ring 3.</summary>
    public ulong Rflags;

    public ulong FsBase;

    /// <summary>Base of GS in the current mode; whoever toggles the mode swaps it.</summary>
    public ulong GsBase;

    /// <summary>Bases of ES, CS, SS, DS: zero in 64-bit code, used by 32-bit code.</summary>
    public ulong EsBase, CsBase, SsBase, DsBase;

    public SelectorFile Selectors;

    /// <summary>1: the guest kernel runs (kernel root, hypercalls); 0: guest user mode.</summary>
    public byte KernelMode;

    /// <summary>1: 64-bit code segment; 0: 32-bit compatibility mode.</summary>
    public byte LongCode;

    /// <summary>CR0.TS: floating point and vector instructions raise #NM.</summary>
    public byte TaskSwitched;

    private byte _pad;

    /// <summary>State components that XSAVE and XRSTOR act on, and that XGETBV reads (Intel SDM vol. 1, 13.3).</summary>
    public ulong Xcr0;

    public ulong this[Gpr register]
    {
        readonly get => Gpr[(int)register];
        set => Gpr[(int)register] = value;
    }
}
