using Ryokan.X86;

namespace Ryokan.Engine;

public enum ExitKind : byte
{
    /// <summary><see cref="IVcpu.Kick"/> was called; state is at an instruction boundary.</summary>
    Kicked,

    /// <summary>SYSCALL in user mode. rip is after it; rcx and r11 hold return rip and rflags (64-bit code).</summary>
    Syscall,

    /// <summary>SYSCALL in kernel mode: a hypercall. rip is after it; rcx, r11 as above.</summary>
    Hypercall,

    /// <summary>SYSENTER in user mode; rip is at it.</summary>
    Sysenter,

    /// <summary>A fault or trap: <see cref="VcpuExit.Vector"/>, error code, cr2. rip as the CPU would push it.</summary>
    Exception,

    /// <summary>INT n. rip is at the instruction; <see cref="VcpuExit.Length"/> bytes long.</summary>
    SoftwareInterrupt,

    /// <summary>An instruction that needs the monitor. rip is at it; <see cref="VcpuExit.Length"/> bytes long.</summary>
    Privileged,
}

public enum PrivilegedOperation : byte
{
    None,

    /// <summary>CPUID; with <see cref="VcpuExit.Forced"/> when written with Xen's forced-emulation prefix.</summary>
    Cpuid,
    Rdmsr, Wrmsr,

    /// <summary>IN/OUT: <see cref="VcpuExit.Port"/>, <see cref="VcpuExit.Size"/>; data in al/ax/eax.</summary>
    In, Out,

    /// <summary>INS/OUTS (with or without REP); <see cref="VcpuExit.Size"/>.</summary>
    Ins, Outs,

    /// <summary>MOV from/to CRn or DRn: <see cref="VcpuExit.Number"/>, <see cref="VcpuExit.Register"/>.</summary>
    ReadCr, WriteCr, ReadDr, WriteDr,
    Clts, Lmsw, Hlt, Cli, Sti, Wbinvd, Invd,

    /// <summary>INVLPG; address in <see cref="VcpuExit.Address"/>.</summary>
    Invlpg,
    Xsetbv, Rdpmc, Rdtscp, Rdpid,

    /// <summary>Any other instruction that faults at CPL 3 with #GP(0): LGDT, LIDT, LLDT, LTR, SWAPGS, SYSRET, ...</summary>
    Other,
}

/// <summary>Why <see cref="IVcpu.Run"/> returned. Only the fields named by the kind are meaningful.</summary>
public struct VcpuExit
{
    public ExitKind Kind;
    public PrivilegedOperation Operation;
    public bool Forced;
    public bool HasErrorCode;

    /// <summary>Exception or INT n vector.</summary>
    public byte Vector;

    /// <summary>Instruction length in bytes.</summary>
    public byte Length;

    /// <summary>CR/DR number.</summary>
    public byte Number;

    /// <summary>Operand size in bytes (IN/OUT).</summary>
    public byte Size;
    public Gpr Register;
    public ushort Port;
    public uint ErrorCode;

    /// <summary>cr2 of a page fault, or the operand of INVLPG.</summary>
    public ulong Address;

    public static VcpuExit Fault(ExceptionVector vector) => new() { Kind = ExitKind.Exception, Vector = (byte)vector };

    public static VcpuExit Fault(ExceptionVector vector, uint errorCode) =>
        new() { Kind = ExitKind.Exception, Vector = (byte)vector, ErrorCode = errorCode, HasErrorCode = true };

    public static VcpuExit PageFault(ulong address, PageFaultError error) => new()
    {
        Kind = ExitKind.Exception, Vector = (byte)ExceptionVector.PageFault,
        ErrorCode = (uint)error, HasErrorCode = true, Address = address,
    };
}
