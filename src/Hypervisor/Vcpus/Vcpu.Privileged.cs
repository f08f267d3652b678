using System;
using Ryokan.Engine;
using Ryokan.Hypervisor.Memory;
using Ryokan.X86;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>
/// Instructions that fault in ring 3 and that Xen emulates for a PV kernel; in user mode they fault as on
/// hardware (Xen: arch/x86/pv/emul-priv-op.c decides what is emulated).
/// </summary>
internal sealed partial class Vcpu
{
    /// <summary>PE MP ET NE WP AM PG; TS is added as it stands.</summary>
    private const ulong Cr0Fixed = 0x80050033;
    private const ulong Cr0TaskSwitched = 8;

    /// <summary>CR4 bits a PV kernel may change: TSD, DE, OSFXSR, OSXMMEXCPT, OSXSAVE.</summary>
    private const ulong Cr4Writable = 0x4060c;

    /// <summary>PAE MCE OSFXSR OSXMMEXCPT OSXSAVE.</summary>
    private const ulong Cr4Initial = 0x40660;

    private ulong _cr4 = Cr4Initial;

    /// <summary>Virtual DR0-DR7; 4 and 5 are not used.</summary>
    public readonly ulong[] Debug = new ulong[8];

    private void Emulate(in VcpuExit exit)
    {
        ref VcpuRegisters r = ref Cpu.Registers;
        if (exit.Operation == PrivilegedOperation.Cpuid)
        {
            EmulateCpuid(ref r);
            FinishInstruction(ref r, exit.Length);
            return;
        }
        bool done = exit.Operation switch
        {
            PrivilegedOperation.In or PrivilegedOperation.Out => EmulatePort(ref r, in exit),
            PrivilegedOperation.Ins or PrivilegedOperation.Outs => EmulatePortString(ref r, in exit),
            PrivilegedOperation.Cli or PrivilegedOperation.Sti => InKernel ? Iopl >= 1 : Iopl == 3,
            _ => InKernel && EmulateKernel(ref r, in exit),
        };
        if (done)
        {
            FinishInstruction(ref r, exit.Length);
        }
        else if (!StopRequested)
        {
            DeliverException(ExceptionVector.GeneralProtection);
        }
    }

    /// <summary>Steps over the instruction; one that is single-stepped traps after it.</summary>
    private void FinishInstruction(ref VcpuRegisters r, int length)
    {
        r.Rip += (uint)length;
        if (r.Rflags.HasTrap())
        {
            Debug[6] |= DebugRegisters.Dr6SingleStep;
            DeliverException(ExceptionVector.Debug);
        }
    }

    private bool EmulateKernel(ref VcpuRegisters r, in VcpuExit exit)
    {
        switch (exit.Operation)
        {
            case PrivilegedOperation.Rdmsr:
                return EmulateRdmsr(ref r);
            case PrivilegedOperation.Wrmsr:
                return EmulateWrmsr(ref r);
            case PrivilegedOperation.ReadCr:
                return EmulateReadCr(ref r, exit.Number, exit.Register);
            case PrivilegedOperation.WriteCr:
                return EmulateWriteCr(ref r, exit.Number, r[exit.Register]);
            case PrivilegedOperation.ReadDr:
                return TryGetDebug(exit.Number, out ulong value) && Assign(ref r, exit.Register, value);
            case PrivilegedOperation.WriteDr:
                return SetDebug(exit.Number, r[exit.Register]) == 0;
            case PrivilegedOperation.Clts:
                r.TaskSwitched = 0;
                return true;
            case PrivilegedOperation.Lmsw or PrivilegedOperation.Wbinvd or PrivilegedOperation.Invd:
                return true;
            case PrivilegedOperation.Invlpg:
                Cpu.FlushPage(exit.Address);
                return true;
            case PrivilegedOperation.Xsetbv:
                return (uint)r[Gpr.Rcx] == 0 && SetXcr0(ref r, EdxEax(ref r));
            default:
                return false;
        }
    }

    private static bool Assign(ref VcpuRegisters r, Gpr register, ulong value)
    {
        r[register] = value;
        return true;
    }

    private static ulong EdxEax(ref VcpuRegisters r) => (r[Gpr.Rdx] << 32) | (uint)r[Gpr.Rax];

    private bool SetXcr0(ref VcpuRegisters r, ulong value)
    {
        bool isAllowed = Domain.Cpuid.AllowsXcr0(value);
        r.Xcr0 = isAllowed ? value : r.Xcr0;
        return isAllowed;
    }

    private void EmulateCpuid(ref VcpuRegisters r)
    {
        CpuidResult result = Domain.Cpuid.Get(Id, (uint)r[Gpr.Rax], (uint)r[Gpr.Rcx]);
        r[Gpr.Rax] = result.Eax;
        r[Gpr.Rbx] = result.Ebx;
        r[Gpr.Rcx] = result.Ecx;
        r[Gpr.Rdx] = result.Edx;
    }

    private bool EmulateReadCr(ref VcpuRegisters r, byte number, Gpr register)
    {
        switch (number)
        {
            case 0:
                return Assign(ref r, register, Cr0Fixed | (r.TaskSwitched != 0 ? Cr0TaskSwitched : 0));
            case 2:
                return Assign(ref r, register, Cr2);
            case 3:
                return Assign(ref r, register, Cpu.KernelRoot << 12);
            case 4:
                return Assign(ref r, register, _cr4);
            case 8:
                return Assign(ref r, register, 0);
            default:
                return false;
        }
    }

    private bool EmulateWriteCr(ref VcpuRegisters r, byte number, ulong value)
    {
        switch (number)
        {
            case 0:
                r.TaskSwitched = (value & Cr0TaskSwitched) != 0 ? (byte)1 : (byte)0;
                return true;
            case 2:
                Cr2 = value;
                return true;
            case 3:
                return SetKernelRoot(PageTableEntry.Frame(value)) == 0;
            case 4:
                _cr4 = (_cr4 & ~Cr4Writable) | (value & Cr4Writable);
                return true;
            default:
                return number == 8;
        }
    }

    /// <summary>NEW_BASEPTR: 0, or -EINVAL when the frame cannot be an L4 table.</summary>
    public long SetKernelRoot(ulong mfn)
    {
        if (!Domain.PageTypes.TryGet(mfn, PageType.L4))
        {
            return -Xen.Abi.Errno.EINVAL;
        }
        ulong old = Cpu.KernelRoot;
        Cpu.KernelRoot = mfn;
        PutRoot(old);
        return 0;
    }

    /// <summary>NEW_USER_BASEPTR; 0 = no user table.</summary>
    public long SetUserRoot(ulong mfn)
    {
        if (mfn != 0 && !Domain.PageTypes.TryGet(mfn, PageType.L4))
        {
            return -Xen.Abi.Errno.EINVAL;
        }
        ulong old = Cpu.UserRoot;
        Cpu.UserRoot = mfn;
        PutRoot(old);
        return 0;
    }

    private void PutRoot(ulong mfn)
    {
        // 0: none was loaded (frame 0 can be no root of ours: it is never asked for by a sane builder).
        if (mfn != 0)
        {
            Domain.PageTypes.Put(mfn);
        }
    }

    /// <summary>set_debugreg: 4 and 5 are 6 and 7. -ENODEV, -EPERM, -EINVAL as Xen says.</summary>
    public long SetDebug(uint number, ulong value)
    {
        switch (number)
        {
            case <= 3:
                if (!PageTableEntry.IsCanonical(value) || Domain.IsHypervisorAddress(value))
                {
                    return -Xen.Abi.Errno.EPERM;
                }
                Debug[number] = value;
                return 0;
            case 4 or 6:
                if (value >> 32 != 0)
                {
                    return -Xen.Abi.Errno.EINVAL;
                }
                Debug[6] = (value & 0xe00f) | DebugRegisters.Dr6Reset;
                return 0;
            case 5 or 7:
                if (value >> 32 != 0)
                {
                    return -Xen.Abi.Errno.EINVAL;
                }
                if ((value & DebugRegisters.Dr7GeneralDetect) != 0)
                {
                    return -Xen.Abi.Errno.EPERM;
                }
                Debug[7] = (value & DebugRegisters.Dr7Writable) | DebugRegisters.Dr7Reset;
                return 0;
            default:
                return -Xen.Abi.Errno.ENODEV;
        }
    }

    public bool TryGetDebug(uint number, out ulong value)
    {
        value = number > 7 ? 0 : Debug[number is 4 or 5 ? number + 2 : number];
        return number <= 7;
    }
}
