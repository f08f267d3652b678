using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>One virtual IDT entry (arch-x86/xen.h).</summary>
[CName("struct trap_info")]
[StructLayout(LayoutKind.Sequential)]
public struct TrapInfo
{
    public byte Vector;

    /// <summary>Bits 1:0 DPL for INT n, bit 2 mask events on entry.</summary>
    public byte Flags;
    public ushort Cs;

    /// <summary>0 ends a list.</summary>
    public ulong Address;
}

/// <summary>Integer registers of a vCPU as calls carry them; 200 bytes (arch-x86/xen-x86_64.h).</summary>
[CName("struct cpu_user_regs")]
[StructLayout(LayoutKind.Sequential)]
public struct CpuUserRegs
{
    public ulong R15;
    public ulong R14;
    public ulong R13;
    public ulong R12;
    public ulong Rbp;
    public ulong Rbx;
    public ulong R11;
    public ulong R10;
    public ulong R9;
    public ulong R8;
    public ulong Rax;
    public ulong Rcx;
    public ulong Rdx;
    public ulong Rsi;
    public ulong Rdi;
    public uint ErrorCode;
    public uint EntryVector;
    public ulong Rip;
    public ushort Cs;
    private ushort _pad0;
    public byte SavedUpcallMask;
    private byte _pad1a;
    private ushort _pad1b;
    public ulong Rflags;
    public ulong Rsp;
    public ushort Ss;
    private ushort _ssPad0;
    private uint _ssPad1;
    public ushort Es;
    private ushort _esPad0;
    private uint _esPad1;
    public ushort Ds;
    private ushort _dsPad0;
    private uint _dsPad1;
    public ushort Fs;
    private ushort _fsPad0;
    private uint _fsPad1;
    public ushort Gs;
    private ushort _gsPad0;
    private uint _gsPad1;
}

/// <summary>The state that VCPUOP_initialise gives to a vCPU; 5168 bytes (arch-x86/xen.h).</summary>
[CName("struct vcpu_guest_context")]
[StructLayout(LayoutKind.Sequential)]
public struct VcpuGuestContext
{
    public Array512<byte> FpuCtxt;

    /// <summary><see cref="VcpuGuestContextFlags"/>.</summary>
    public ulong Flags;
    public CpuUserRegs UserRegs;
    public Array256<TrapInfo> TrapCtxt;
    public ulong LdtBase;
    public ulong LdtEnts;
    public Array16<ulong> GdtFrames;
    public ulong GdtEnts;
    public ulong KernelSs;
    public ulong KernelSp;

    /// <summary>[3]: kernel root as mfn << 12; [1]: user root or 0.</summary>
    public Array8<ulong> Ctrlreg;
    public Array8<ulong> Debugreg;
    public ulong EventCallbackEip;
    public ulong FailsafeCallbackEip;
    public ulong SyscallCallbackEip;
    public ulong VmAssist;
    public ulong FsBase;
    public ulong GsBaseKernel;
    public ulong GsBaseUser;
}

/// <summary>What the iret hypercall finds at rsp (arch-x86/xen-x86_64.h).</summary>
[CName("struct iret_context")]
[StructLayout(LayoutKind.Sequential)]
public struct IretContext
{
    public ulong Rax;
    public ulong R11;
    public ulong Rcx;
    public ulong Flags;
    public ulong Rip;
    public ulong Cs;
    public ulong Rflags;
    public ulong Rsp;
    public ulong Ss;
}

/// <summary>
/// Bits of <see cref="VcpuGuestContext.Flags"/> and of <see cref="IretContext.Flags"/> (arch-x86/xen.h,
/// VGCF_*).
/// </summary>
public static class VcpuGuestContextFlags
{
    [CName("VGCF_i387_valid")] public const ulong I387Valid = 0x1;
    [CName("VGCF_in_kernel")] public const ulong InKernel = 0x4;
    [CName("VGCF_failsafe_disables_events")] public const ulong FailsafeDisablesEvents = 0x8;
    [CName("VGCF_syscall_disables_events")] public const ulong SyscallDisablesEvents = 0x10;
    [CName("VGCF_online")] public const ulong Online = 0x20;
    [CName("VGCF_in_syscall")] public const ulong InSyscall = 0x100;
}
