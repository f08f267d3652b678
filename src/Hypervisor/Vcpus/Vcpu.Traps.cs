using System;
using System.Runtime.InteropServices;
using Ryokan.Engine;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>
/// Entries into the guest kernel: exceptions, events, NMI, system calls. Each builds one frame on the
/// kernel's stack (arch-x86/xen.h, "bounce frame"), low to high:
/// rcx, r11, [error code], rip, cs | saved mask &lt;&lt; 32, rflags, rsp, ss.
/// </summary>
internal sealed partial class Vcpu
{
    private const ulong SelectorRpl = 3;
    private const int SavedMaskShift = 32;

    /// <summary>trap_info.flags: mask events on entry.</summary>
    private const byte TrapMaskEvents = 4;

    /// <summary>trap_info.flags: DPL of INT n.</summary>
    private const byte TrapDpl = 3;

    private const ulong ClearedOnEntry =
        (ulong)(Rflags.AC | Rflags.VM | Rflags.RF | Rflags.NT | Rflags.TF);

    /// <summary>Vectors whose frame holds an error code: 8, 10-14, 17, 21 (Intel SDM vol. 3, 6.13).</summary>
    private const uint ErrorCodeVectors = 0x00227d00;

    private void DeliverEvent()
    {
        if (EventCallback.Address == 0)
        {
            return;
        }
        Enter(EventCallback.Address, true, 0, false, 0, Cpu.Registers.Rflags);
    }

    private void DeliverNmi()
    {
        Callback callback = NmiCallback.Address != 0
            ? NmiCallback
            : new Callback(Traps[(int)ExceptionVector.Nmi].Address, true);
        if (callback.Address != 0)
        {
            _nmiMasked = true;
            Enter(callback.Address, callback.MaskEvents, 0, false, 0, Cpu.Registers.Rflags);
        }
    }

    private void HandleException(in VcpuExit exit)
    {
        ref VcpuRegisters r = ref Cpu.Registers;
        if (exit.Vector == (byte)ExceptionVector.PageFault)
        {
            uint error = exit.ErrorCode & ~(InKernel ? (uint)PageFaultError.User : 0);
            Cr2 = exit.Address;
            DeliverException(exit.Vector, error);
            return;
        }
        if (exit.Vector == (byte)ExceptionVector.Debug)
        {
            Debug[6] |= r.Rflags.HasTrap() ? DebugRegisters.Dr6SingleStep : 0;
        }
        if (exit.Vector == (byte)ExceptionVector.Breakpoint && !MayInterrupt(exit.Vector))
        {
            r.Rip--;
            DeliverException((byte)ExceptionVector.GeneralProtection, ((uint)exit.Vector << 3) | 2);
            return;
        }
        DeliverException(exit.Vector, exit.HasErrorCode ? exit.ErrorCode : 0);
    }

    private void HandleSoftwareInterrupt(in VcpuExit exit)
    {
        if (!MayInterrupt(exit.Vector))
        {
            DeliverException((byte)ExceptionVector.GeneralProtection, ((uint)exit.Vector << 3) | 2);
            return;
        }
        ref VcpuRegisters r = ref Cpu.Registers;
        ref TrapInfo trap = ref Traps[exit.Vector];
        r.Rip += exit.Length;
        Enter(trap.Address, (trap.Flags & TrapMaskEvents) != 0, 0, false, 0, r.Rflags);
    }

    /// <summary>INT n and INT3: the gate must exist and its DPL allow the mode (kernel counts as 1).</summary>
    private bool MayInterrupt(byte vector) =>
        Traps[vector].Address != 0 && (Traps[vector].Flags & TrapDpl) >= (InKernel ? 1 : 3);

    private void DeliverException(ExceptionVector vector) => DeliverException((byte)vector, 0);

    private void DeliverException(byte vector, uint errorCode)
    {
        ref TrapInfo trap = ref Traps[vector];
        if (trap.Address == 0)
        {
            CrashGuest($"exception {vector} (error code {errorCode:x}, cr2 {Cr2:x}) with no handler registered");
            return;
        }
        bool hasErrorCode = vector < 32 && ((ErrorCodeVectors >> vector) & 1) != 0;
        Enter(trap.Address, (trap.Flags & TrapMaskEvents) != 0, errorCode, hasErrorCode, 0, Cpu.Registers.Rflags);
    }

    private void DeliverSyscall()
    {
        ref VcpuRegisters r = ref Cpu.Registers;
        bool is64 = r.LongCode != 0;
        Callback callback = is64 ? SyscallCallback : Syscall32Callback;
        if (callback.Address == 0)
        {
            r.Rip -= 2;
            DeliverException(ExceptionVector.InvalidOpcode);
            return;
        }
        ulong userFlags = r.Rflags;
        r.Rflags &= ~(ulong)Rflags.DF;
        Enter(callback.Address, callback.MaskEvents, 0, false, is64 ? FlatSelector.UserCs64 : FlatSelector.UserCs32,
            userFlags);
    }

    private void DeliverSysenter()
    {
        if (SysenterCallback.Address == 0)
        {
            DeliverException(ExceptionVector.GeneralProtection);
            return;
        }
        // SYSENTER saves neither rip nor rsp nor cs: the guest's vDSO knows them, the frame says 0.
        ref VcpuRegisters r = ref Cpu.Registers;
        ulong userFlags = r.Rflags;
        r.Rip = 0;
        r[Gpr.Rsp] = 0;
        r.Rflags &= ~(ulong)Rflags.DF;
        Enter(SysenterCallback.Address, SysenterCallback.MaskEvents, 0, false, SelectorRpl, userFlags);
    }

    /// <summary>Builds the frame and enters the kernel at the handler. A frame that cannot be written ends the domain.</summary>
    /// <param name="systemCallCs">not 0: what a system call shows as CS (SS is then the flat one)</param>
    /// <param name="flags">the RFLAGS to show; those in force may already differ</param>
    private void Enter(
        ulong handler, bool maskEvents, uint errorCode, bool hasErrorCode, ulong systemCallCs, ulong flags)
    {
        ref VcpuRegisters r = ref Cpu.Registers;
        bool fromKernel = r.KernelMode != 0;
        byte mask = UpcallMask;
        ulong cs = systemCallCs != 0 ? systemCallCs : r.Selectors[(int)SegmentRegister.Cs];
        if (fromKernel)
        {
            cs &= ~SelectorRpl;
        }
        Span<ulong> frame = stackalloc ulong[8];
        int n = 0;
        frame[n++] = r[Gpr.Rcx];
        frame[n++] = r[Gpr.R11];
        if (hasErrorCode)
        {
            frame[n++] = errorCode;
        }
        frame[n++] = r.Rip;
        frame[n++] = cs | ((ulong)mask << SavedMaskShift);
        frame[n++] = (flags & ~(ulong)(Rflags.IF | Rflags.Iopl)) | (mask == 0 ? (ulong)Rflags.IF : 0);
        frame[n++] = r[Gpr.Rsp];
        frame[n++] = systemCallCs != 0 ? FlatSelector.UserSs64 : r.Selectors[(int)SegmentRegister.Ss];

        ulong sp = ((fromKernel ? r[Gpr.Rsp] : KernelSp) & ~15UL) - (ulong)n * sizeof(ulong);
        if (handler == 0 || !Cpu.TryWrite(sp, MemoryMarshal.AsBytes(frame[..n]), out _))
        {
            CrashGuest($"no frame for handler {handler:x} can be built at stack {sp:x}");
            return;
        }
        EnterKernelAt(ref r, handler, sp, fromKernel);
        if (maskEvents)
        {
            UpcallMask = 1;
        }
    }

    private void EnterKernelAt(ref VcpuRegisters r, ulong rip, ulong rsp, bool fromKernel)
    {
        if (!fromKernel)
        {
            ToggleMode(ref r);
        }
        r.Rip = rip;
        r[Gpr.Rsp] = rsp;
        r.Selectors[(int)SegmentRegister.Cs] = FlatSelector.KernelCs64;
        r.Selectors[(int)SegmentRegister.Ss] = FlatSelector.KernelSs64;
        r.CsBase = 0;
        r.SsBase = 0;
        r.LongCode = 1;
        r.Rflags &= ~ClearedOnEntry;
    }

    /// <summary>Kernel to user or back: the mode decides the page-table root, and each mode has its GS base.</summary>
    private void ToggleMode(ref VcpuRegisters r)
    {
        r.KernelMode ^= 1;
        (r.GsBase, OtherGsBase) = (OtherGsBase, r.GsBase);
    }
}
