using System.Threading;
using Ryokan.Engine;
using Ryokan.Hypervisor.Hypercalls;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>The run loop: guest, exit, handler, pending events, guest.</summary>
internal sealed partial class Vcpu
{
    private volatile bool _nmiMasked;

    private void RunLoop()
    {
        LeaveQuiet();
        while (PrepareToRun())
        {
            Cpu.Run(out VcpuExit exit);
            Handle(in exit);
        }
    }

    /// <summary>What precedes every return to the guest; false when the vCPU has to end.</summary>
    private bool PrepareToRun()
    {
        if ((Volatile.Read(ref _requests) != 0 || !_up || _context != null) && !HandleRequests())
        {
            return false;
        }
        if (UpcallPending && UpcallMask == 0)
        {
            DeliverEvent();
            return !StopRequested;
        }
        return true;
    }

    private bool HandleRequests()
    {
        LeaveQuiet();
        if (!WaitUntilUp())
        {
            return false;
        }
        ApplyContext();
        if ((Requests & VcpuRequest.Nmi) != 0 && !_nmiMasked)
        {
            Interlocked.And(ref _requests, ~(int)VcpuRequest.Nmi);
            DeliverNmi();
        }
        return !StopRequested;
    }

    private void Handle(in VcpuExit exit)
    {
        switch (exit.Kind)
        {
            case ExitKind.Kicked:
                break;
            case ExitKind.Hypercall:
                HandleHypercall();
                break;
            case ExitKind.Syscall:
                DeliverSyscall();
                break;
            case ExitKind.Exception:
                HandleException(in exit);
                break;
            case ExitKind.Privileged:
                Emulate(in exit);
                break;
            case ExitKind.SoftwareInterrupt:
                HandleSoftwareInterrupt(in exit);
                break;
            case ExitKind.Sysenter:
                DeliverSysenter();
                break;
            default:
                CrashGuest($"the engine left the guest for an unknown reason {exit.Kind}");
                break;
        }
    }

    private void HandleHypercall()
    {
        ref VcpuRegisters r = ref Cpu.Registers;
        ulong number = r[Gpr.Rax];
        if (number == Hypercall.Iret)
        {
            Iret();
            return;
        }
        uint trace = Trace.Begin(number, r[Gpr.Rdi], r[Gpr.Rsi], r[Gpr.Rdx], r[Gpr.R10]);
        long result = HypercallTable.Invoke(
            this, number, r[Gpr.Rdi], r[Gpr.Rsi], r[Gpr.Rdx], r[Gpr.R10], r[Gpr.R8]);
        Trace.End(trace, result);
        r[Gpr.Rax] = (ulong)result;
    }
}
