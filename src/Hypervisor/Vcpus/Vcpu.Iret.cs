using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using Ryokan.Engine;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>Hypercall 23: the way out of every frame that Traps built (struct iret_context at rsp).</summary>
internal sealed partial class Vcpu
{
    private const ulong UserSettableFlags = ~(ulong)(Rflags.Iopl | Rflags.VM | Rflags.VIF | Rflags.VIP);

    private void Iret()
    {
        ref VcpuRegisters r = ref Cpu.Registers;
        Unsafe.SkipInit(out IretContext frame);
        if (!Cpu.TryRead(r[Gpr.Rsp], MemoryMarshal.AsBytes(new Span<IretContext>(ref frame)), out _))
        {
            CrashGuest($"iret: the frame at {r[Gpr.Rsp]:x} cannot be read");
            return;
        }
        bool toUser = (frame.Cs & SelectorRpl) == SelectorRpl;
        if (toUser && Cpu.UserRoot == 0)
        {
            CrashGuest("iret to user mode without a user page table");
            return;
        }
        ushort cs = (ushort)(frame.Cs | SelectorRpl);
        ushort ss = (ushort)(frame.Ss | SelectorRpl);
        if (!TryLoadCode(cs, out bool longCode, out ulong csBase)
            || !TryLoadStack(ss, longCode, out ulong ssBase))
        {
            DeliverException((byte)ExceptionVector.GeneralProtection, cs & ~(uint)SelectorRpl);
            return;
        }
        if (toUser)
        {
            ToggleMode(ref r);
        }
        LoadIretFrame(ref r, in frame);
        r.Selectors[(int)SegmentRegister.Cs] = cs;
        r.Selectors[(int)SegmentRegister.Ss] = ss;
        r.LongCode = longCode ? (byte)1 : (byte)0;
        r.CsBase = csBase;
        r.SsBase = ssBase;
        UpcallMask = (frame.Rflags & (ulong)Rflags.IF) != 0 ? (byte)0 : (byte)1;
        // The mask is stored, then pending is read (PrepareToRun): whoever raises an event in between
        // kicks, so no fence is needed here.
        _nmiMasked = false;
    }

    private static void LoadIretFrame(ref VcpuRegisters r, in IretContext frame)
    {
        r[Gpr.Rax] = frame.Rax;
        if ((frame.Flags & VcpuGuestContextFlags.InSyscall) == 0)
        {
            r[Gpr.R11] = frame.R11;
            r[Gpr.Rcx] = frame.Rcx;
        }
        else
        {
            // As SYSRET leaves them.
            r[Gpr.R11] = frame.Rflags;
            r[Gpr.Rcx] = frame.Rip;
        }
        r.Rip = frame.Rip;
        r[Gpr.Rsp] = frame.Rsp;
        r.Rflags = (frame.Rflags & UserSettableFlags) | (ulong)(Rflags.IF | Rflags.Reserved1);
    }

    /// <summary>A present code segment of DPL 3; the flat kernel selectors need no look-up.</summary>
    private bool TryLoadCode(ushort selector, out bool longCode, out ulong segmentBase)
    {
        longCode = true;
        segmentBase = 0;
        if (selector == FlatSelector.KernelCs64)
        {
            return true;
        }
        if (!TryReadDescriptor(selector, out ulong raw))
        {
            return false;
        }
        var descriptor = new Descriptor(raw);
        longCode = descriptor.IsLong;
        segmentBase = longCode ? 0 : descriptor.Base;
        return descriptor.IsPresentCode && descriptor.Dpl == 3;
    }

    /// <summary>64-bit code ignores SS altogether; 32-bit code needs a present, writable data segment.</summary>
    private bool TryLoadStack(ushort selector, bool longCode, out ulong segmentBase)
    {
        segmentBase = 0;
        if (longCode)
        {
            return true;
        }
        if (!TryReadDescriptor(selector, out ulong raw))
        {
            return false;
        }
        var descriptor = new Descriptor(raw);
        segmentBase = descriptor.Base;
        return descriptor.IsPresentWritableData && descriptor.Dpl == 3;
    }
}
