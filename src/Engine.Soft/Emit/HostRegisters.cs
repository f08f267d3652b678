using Ryokan.X86;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>Where guest registers live while generated code runs.</summary>
/// <remarks>
/// Host RSP points at the vCPU's block. RCX is a scratch register because JRCXZ tests it without touching
/// flags, variable shifts want it anyway, and it needs no REX prefix beside ah/bh/ch/dh. R9-R11 are the
/// least used guest registers in compiled code (1.5, 1.0 and 0.8 % of instructions in cc1), so they stay in
/// memory and their host registers hold guest RCX, guest RSP and the second scratch register.
/// </remarks>
internal static class HostRegisters
{
    public const int Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3, Rsp = 4, Rbp = 5, Rsi = 6, Rdi = 7,
        R8 = 8, R9 = 9, R10 = 10, R11 = 11, R12 = 12, R13 = 13, R14 = 14, R15 = 15;

    /// <summary>First scratch register.</summary>
    public const int Temp0 = Rcx;

    /// <summary>Second scratch register.</summary>
    public const int Temp1 = R11;

    public const int GuestRcx = R9, GuestRsp = R10;

    private static readonly sbyte[] Home = [0, GuestRcx, 2, 3, GuestRsp, 5, 6, 7, 8, -1, -1, -1, 12, 13, 14, 15];

    /// <summary>Host register of a guest register, or -1 when it lives in the vCPU block.</summary>
    public static int Of(int guest) => Home[guest];

    /// <summary>True when guest and host register have the same number.</summary>
    public static bool IsIdentity(int guest) => Home[guest] == guest;

    /// <summary>Offset of a guest register's slot in the vCPU block while translated code runs.</summary>
    public static int Slot(int guest) => Home[guest] < 0 ? VcpuArea.HighRegisters + (guest - R9) * 8 : VcpuArea.RegistersAt + guest * 8;
}
