using System;
using Ryokan.Engine;
using Ryokan.Hypervisor.Memory;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>How a vCPU gets its first state: from the domain builder, or from VCPUOP_initialise.</summary>
internal sealed partial class Vcpu
{
    private const int FpuControlWordOffset = 0, MxcsrOffset = 24, XstateBvOffset = 512, LegacyAreaBytes = 512;
    private const ushort FpuControlWordReset = 0x37f;
    private const uint MxcsrReset = 0x1f80;
    private const byte XstateLegacy = 3;

    /// <summary>The registers of a context, until the vCPU's own thread loads them.</summary>
    private sealed class PendingContext
    {
        public VcpuGuestContext Value;
    }

    private volatile PendingContext? _context;

    /// <summary>Has had its first state; VCPUOP_initialise works once.</summary>
    public bool IsInitialised { get; private set; }

    /// <summary>The entry state of vCPU 0 (public/xen.h, "Start-of-day memory layout"); before its thread starts.</summary>
    public bool TrySetInitialState(ulong rip, ulong rsp, ulong startInfo, ulong rootMfn)
    {
        if (SetKernelRoot(rootMfn) != 0)
        {
            return false;
        }
        ref VcpuRegisters r = ref Cpu.Registers;
        r.Rip = rip;
        r[Gpr.Rsp] = rsp;
        r[Gpr.Rsi] = startInfo;
        r.Rflags = (ulong)(Rflags.IF | Rflags.Reserved1);
        r.Selectors[(int)SegmentRegister.Cs] = FlatSelector.KernelCs64;
        r.Selectors[(int)SegmentRegister.Ss] = FlatSelector.KernelSs64;
        r.KernelMode = 1;
        r.LongCode = 1;
        KernelSp = rsp;
        ResetFpu();
        IsInitialised = true;
        return true;
    }

    /// <summary>
    /// VCPUOP_initialise for a vCPU that is down: checks and takes over all but the registers, which the
    /// vCPU's own thread loads when it is brought up. -EEXIST: had one; -EINVAL: tables that cannot be.
    /// </summary>
    public long Initialise(in VcpuGuestContext context)
    {
        if (IsInitialised)
        {
            return -Errno.EEXIST;
        }
        if (context.GdtEnts > MaxGdtEntries || context.LdtEnts > MaxLdtEntries
            || (context.Flags & VcpuGuestContextFlags.InKernel) == 0)
        {
            return -Errno.EINVAL;
        }
        ReadOnlySpan<ulong> frames = ((ReadOnlySpan<ulong>)context.GdtFrames)[..FramesFor((uint)context.GdtEnts)];
        long result = SetGdt(frames, (uint)context.GdtEnts);
        result = result != 0 ? result : SetLdt(context.LdtBase, (uint)context.LdtEnts);
        if (result != 0 || !TryGetRoots(context.Ctrlreg[3], context.Ctrlreg[1]))
        {
            SetGdt([], 0);
            SetLdt(0, 0);
            return -Errno.EINVAL;
        }
        TakeOver(in context);
        _context = new PendingContext { Value = context };
        IsInitialised = true;
        return 0;
    }

    private bool TryGetRoots(ulong kernelCr3, ulong userCr3)
    {
        PageTypes types = Domain.PageTypes;
        ulong kernel = PageTableEntry.Frame(kernelCr3), user = PageTableEntry.Frame(userCr3);
        if (!types.TryGet(kernel, PageType.L4))
        {
            return false;
        }
        if (user != 0 && !types.TryGet(user, PageType.L4))
        {
            types.Put(kernel);
            return false;
        }
        return true;
    }

    private void TakeOver(in VcpuGuestContext context)
    {
        for (int i = 0; i < Traps.Length; i++)
        {
            Traps[i] = context.TrapCtxt[i];
            Traps[i].Vector = (byte)i;
        }
        KernelSs = context.KernelSs | SelectorRpl;
        KernelSp = context.KernelSp;
        EventCallback = new Callback(context.EventCallbackEip, true);
        FailsafeCallback = new Callback(
            context.FailsafeCallbackEip, (context.Flags & VcpuGuestContextFlags.FailsafeDisablesEvents) != 0);
        SyscallCallback = new Callback(
            context.SyscallCallbackEip, (context.Flags & VcpuGuestContextFlags.SyscallDisablesEvents) != 0);
        Iopl = (uint)(context.UserRegs.Rflags & (ulong)Rflags.Iopl) >> 12;
        OtherGsBase = context.GsBaseUser;
        for (uint i = 0; i < 8; i++)
        {
            if (i is not 4 and not 5)
            {
                SetDebug(i, context.Debugreg[(int)i]);
            }
        }
        Domain.VmAssist |= context.VmAssist;
        UpcallMask = 1;
    }

    /// <summary>Loads the registers of a context that was given while the vCPU was down.</summary>
    private void ApplyContext()
    {
        if (_context is not { } pending)
        {
            return;
        }
        _context = null;
        ref VcpuGuestContext context = ref pending.Value;
        // The references to both roots were taken when the context was checked.
        Cpu.KernelRoot = PageTableEntry.Frame(context.Ctrlreg[3]);
        Cpu.UserRoot = PageTableEntry.Frame(context.Ctrlreg[1]);
        LoadRegisters(ref Cpu.Registers, in context.UserRegs);
        ref VcpuRegisters r = ref Cpu.Registers;
        r.FsBase = context.FsBase;
        r.GsBase = context.GsBaseKernel;
        r.KernelMode = 1;
        r.LongCode = 1;
        ResetFpu();
        if ((context.Flags & VcpuGuestContextFlags.I387Valid) != 0)
        {
            LoadFpu(context.FpuCtxt);
        }
    }

    private static void LoadRegisters(ref VcpuRegisters r, in CpuUserRegs from)
    {
        r[Gpr.Rax] = from.Rax;
        r[Gpr.Rbx] = from.Rbx;
        r[Gpr.Rcx] = from.Rcx;
        r[Gpr.Rdx] = from.Rdx;
        r[Gpr.Rsi] = from.Rsi;
        r[Gpr.Rdi] = from.Rdi;
        r[Gpr.Rbp] = from.Rbp;
        r[Gpr.Rsp] = from.Rsp;
        r[Gpr.R8] = from.R8;
        r[Gpr.R9] = from.R9;
        r[Gpr.R10] = from.R10;
        r[Gpr.R11] = from.R11;
        r[Gpr.R12] = from.R12;
        r[Gpr.R13] = from.R13;
        r[Gpr.R14] = from.R14;
        r[Gpr.R15] = from.R15;
        r.Rip = from.Rip;
        r.Rflags = (from.Rflags & UserSettableFlags) | (ulong)(Rflags.IF | Rflags.Reserved1);
        r.Selectors[(int)SegmentRegister.Cs] = (ushort)(from.Cs | SelectorRpl);
        r.Selectors[(int)SegmentRegister.Ss] = (ushort)(from.Ss | SelectorRpl);
        r.Selectors[(int)SegmentRegister.Ds] = from.Ds;
        r.Selectors[(int)SegmentRegister.Es] = from.Es;
        r.Selectors[(int)SegmentRegister.Fs] = from.Fs;
        r.Selectors[(int)SegmentRegister.Gs] = from.Gs;
    }

    /// <summary>As FNINIT and a processor reset leave it: FCW 37f, MXCSR 1f80, all else zero; of extended state x87 and SSE enabled, as Xen does.</summary>
    private void ResetFpu()
    {
        LoadFpu([]);
        Cpu.Registers.Xcr0 = XstateLegacy;
    }

    private void LoadFpu(ReadOnlySpan<byte> legacyArea)
    {
        byte[] area = new byte[Cpu.XsaveSize];
        BitConverter.TryWriteBytes(area.AsSpan(FpuControlWordOffset), FpuControlWordReset);
        BitConverter.TryWriteBytes(area.AsSpan(MxcsrOffset), MxcsrReset);
        area[XstateBvOffset] = XstateLegacy;
        legacyArea.CopyTo(area.AsSpan(0, LegacyAreaBytes));
        Cpu.WriteXsave(area);
    }
}
