using System;
using System.Threading;
using Ryokan.Linux.Interop;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>What other threads ask of a vCPU; bits.</summary>
[Flags]
internal enum VcpuRequest
{
    None = 0,

    /// <summary>Stand still until unpaused.</summary>
    Pause = 1,

    /// <summary>Leave the run loop for good.</summary>
    Stop = 2,

    /// <summary>Deliver an NMI.</summary>
    Nmi = 4,
}

/// <summary>
/// Standing still, waking and being asked to. A vCPU is quiet while its thread runs neither guest code nor
/// a hypercall. It turns quiet, then looks whether it may wait; others change what it looks at, then look
/// whether it is quiet: one of the two sees the other, so no wake-up is lost.
/// </summary>
internal sealed partial class Vcpu
{
    private readonly Futex _wake = new();
    private int _requests;
    private volatile bool _up;
    private volatile bool _blocked;
    private int _quiet = 1;

    /// <summary>VCPUOP_up was called (or this is vCPU 0) and VCPUOP_down was not.</summary>
    public bool IsUp => _up;

    public bool IsQuiet => Volatile.Read(ref _quiet) != 0;

    public bool StopRequested => (Requests & VcpuRequest.Stop) != 0;

    public VcpuActivity Activity =>
        !_up ? VcpuActivity.Offline
        : (Requests & VcpuRequest.Pause) != 0 ? VcpuActivity.Paused
        : _blocked ? VcpuActivity.Blocked : VcpuActivity.Running;

    private VcpuRequest Requests => (VcpuRequest)Volatile.Read(ref _requests);

    /// <summary>Asks for something; seen before the vCPU's next guest instruction. Any thread.</summary>
    public void Post(VcpuRequest request)
    {
        Interlocked.Or(ref _requests, (int)request);
        Interrupt();
    }

    public void Withdraw(VcpuRequest request)
    {
        Interlocked.And(ref _requests, ~(int)request);
        _wake.Set();
    }

    public void BringUp()
    {
        _up = true;
        Interrupt();
    }

    public void TakeDown()
    {
        _up = false;
        Interrupt();
    }

    /// <summary>
    /// vcpu_info says that an event is pending, or a polled port is: makes the vCPU look. Any thread. On its
    /// own thread nothing is to be done, it looks before it returns to the guest.
    /// </summary>
    public void Raise() => Interrupt();

    private void Interrupt()
    {
        Interlocked.MemoryBarrier();
        if (OnOwnThread)
        {
            return;
        }
        if (IsQuiet)
        {
            _wake.Set();
        }
        else
        {
            Cpu.Kick();
        }
    }

    /// <summary>SCHEDOP_block, after the mask was cleared: waits until an event is pending.</summary>
    public void Block()
    {
        if (UpcallPending)
        {
            return;
        }
        Time.DomainTime time = Domain.Time;
        time.EnterRunstate(Id, Runstate.Blocked);
        _blocked = true;
        long deadline = time.BeginWait(Id);
        while (TurnQuiet() && !UpcallPending)
        {
            _wake.WaitUntil(deadline);
            LeaveQuiet();
            time.FireIfDue(Id);
            deadline = time.HostDeadline(Id);
        }
        LeaveQuiet();
        time.EndWait(Id);
        _blocked = false;
        time.EnterRunstate(Id, Runstate.Running);
    }

    /// <summary>
    /// SCHEDOP_poll: until one of the ports is pending, an event can be delivered, or the system time is
    /// reached (0: no limit).
    /// </summary>
    public void Poll(ReadOnlySpan<uint> ports, ulong timeout)
    {
        Time.DomainTime time = Domain.Time;
        long limit = timeout == 0 ? long.MaxValue : time.ToHost(timeout);
        Domain.Events.BeginPoll(Id, ports.Length == 1 ? ports[0] : 0);
        _blocked = true;
        long deadline = time.BeginWait(Id);
        while (TurnQuiet() && !IsAnyPending(ports) && !(UpcallPending && UpcallMask == 0)
            && Futex.MonotonicNanoseconds() < limit)
        {
            _wake.WaitUntil(Math.Min(limit, deadline));
            LeaveQuiet();
            time.FireIfDue(Id);
            deadline = time.HostDeadline(Id);
        }
        LeaveQuiet();
        time.EndWait(Id);
        _blocked = false;
        Domain.Events.EndPoll(Id);
    }

    private bool IsAnyPending(ReadOnlySpan<uint> ports)
    {
        foreach (uint port in ports)
        {
            if (Domain.Events.IsPending(port))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Waits while the vCPU is down; false when it has to end.</summary>
    private bool WaitUntilUp()
    {
        if (!_up)
        {
            Domain.Time.EnterRunstate(Id, Runstate.Offline);
            while (!_up && !StopRequested)
            {
                Volatile.Write(ref _quiet, 1);
                Interlocked.MemoryBarrier();
                if (!_up && !StopRequested)
                {
                    _wake.WaitUntil(long.MaxValue);
                }
                LeaveQuiet();
            }
            Domain.Time.EnterRunstate(Id, Runstate.Running);
            // Nobody told it of what was unmapped meanwhile: a kernel flushes the CPUs that are online, and Xen begins with
            // an empty TLB.
            Cpu.FlushTlb();
        }
        return !StopRequested;
    }

    /// <summary>Becomes quiet; true when nothing is asked that speaks against waiting.</summary>
    private bool TurnQuiet()
    {
        Volatile.Write(ref _quiet, 1);
        Interlocked.MemoryBarrier();
        return Requests == VcpuRequest.None && _up;
    }

    /// <summary>Goes on, unless a pause is asked for: that is waited out here.</summary>
    private void LeaveQuiet()
    {
        while (true)
        {
            Volatile.Write(ref _quiet, 0);
            Interlocked.MemoryBarrier();
            if ((Requests & (VcpuRequest.Pause | VcpuRequest.Stop)) != VcpuRequest.Pause)
            {
                return;
            }
            Volatile.Write(ref _quiet, 1);
            Interlocked.MemoryBarrier();
            if ((Requests & (VcpuRequest.Pause | VcpuRequest.Stop)) == VcpuRequest.Pause)
            {
                _wake.WaitUntil(long.MaxValue);
            }
        }
    }
}
