using System;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Threading;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Diagnostics;
using Ryokan.Linux.Interop;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>
/// One vCPU of a PV64 domain: the state that Xen keeps beside the registers, and the thread that runs it.
/// Unless said otherwise members belong to that thread; other threads use <see cref="Post"/>,
/// <see cref="Raise"/> and the volatile fields. The parts: Loop (run and dispatch), Traps (entries into the
/// guest kernel), Iret (way back), Privileged (instruction emulation), Descriptors, Wait.
/// </summary>
internal sealed partial class Vcpu : IVcpuHost, IDisposable
{
    private const int StackBytes = 16 << 20;

    public readonly Domain Domain;
    public readonly int Id;
    public readonly IVcpu Cpu;
    public readonly GuestFrames Frames;
    public readonly HypercallRing Trace = new();
    public readonly TrapInfo[] Traps = new TrapInfo[256];

    public Callback EventCallback, FailsafeCallback, SyscallCallback, Syscall32Callback, SysenterCallback, NmiCallback;

    public ulong KernelSs = FlatSelector.KernelSs;
    public ulong KernelSp;
    public ulong VmAssist;

    /// <summary>I/O privilege of the guest kernel (physdev_op set_iopl); user mode needs 3 or the bitmap.</summary>
    public uint Iopl;
    public ulong IoBitmap;
    public uint IoBitmapPorts;

    /// <summary>GS base of the mode that does not run: user's while in the kernel, and the reverse.</summary>
    public ulong OtherGsBase;

    public bool VcpuInfoRegistered;

    private long _vcpuInfoIndex;
    private int _vcpuInfoOffset;
    private Thread? _thread;
    private int _threadId = -1;
    private volatile int _hostThreadId;
    private readonly ThreadClock _clock = new();

    public Vcpu(Domain domain, int id)
    {
        Domain = domain;
        Id = id;
        Frames = domain.Frames;
        Cpu = domain.Engine.CreateVcpu(id, this);
        Debug[6] = DebugRegisters.Dr6Reset;
        Debug[7] = DebugRegisters.Dr7Reset;
        SetVcpuInfoLocation(domain.SharedInfoMfn, id * Unsafe.SizeOf<VcpuInfo>());
    }

    public ref VcpuRegisters Registers => ref Cpu.Registers;

    public bool InKernel => Cpu.Registers.KernelMode != 0;

    public TimeSpan CpuTime => _clock.Elapsed;

    /// <summary>Where this vCPU's vcpu_info is: shared_info at first, then what register_vcpu_info named.</summary>
    public void SetVcpuInfoLocation(ulong mfn, int offset)
    {
        _vcpuInfoIndex = Frames.IndexOf(mfn);
        _vcpuInfoOffset = offset;
    }

    public (ulong Mfn, int Offset) VcpuInfoLocation => (Frames.MfnOf(_vcpuInfoIndex), _vcpuInfoOffset);

    /// <summary>vcpu_info.evtchn_upcall_mask, written by the guest at any time.</summary>
    public byte UpcallMask
    {
        get => Volatile.Read(ref Frames.ByteAt(_vcpuInfoIndex, _vcpuInfoOffset + 1));
        set => Volatile.Write(ref Frames.ByteAt(_vcpuInfoIndex, _vcpuInfoOffset + 1), value);
    }

    public bool UpcallPending => Volatile.Read(ref Frames.ByteAt(_vcpuInfoIndex, _vcpuInfoOffset)) != 0;

    /// <summary>vcpu_info.arch.cr2.</summary>
    public ulong Cr2
    {
        get => Volatile.Read(ref Frames.UInt64At(_vcpuInfoIndex, _vcpuInfoOffset + 16));
        set => Volatile.Write(ref Frames.UInt64At(_vcpuInfoIndex, _vcpuInfoOffset + 16), value);
    }

    public void Start()
    {
        _thread = new Thread(ThreadMain, StackBytes)
        {
            IsBackground = true,
            Name = string.Create(CultureInfo.InvariantCulture, $"vcpu{Id}"),
        };
        _thread.Start();
        SpinWait.SpinUntil(() => _hostThreadId != 0);
    }

    /// <summary>
    /// The host's number of the thread (gettid); known once <see cref="Start"/> returned, 0 before.
    /// </summary>
    public int HostThreadId => _hostThreadId;

    public void Join()
    {
        if (_thread != null && _thread != Thread.CurrentThread)
        {
            _thread.Join();
        }
    }

    private bool OnOwnThread => Environment.CurrentManagedThreadId == _threadId;

    private void ThreadMain()
    {
        _threadId = Environment.CurrentManagedThreadId;
        _hostThreadId = HostThread.CurrentId();
        _clock.Attach();
        try
        {
            RunLoop();
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            // A fault of ours, not the guest's: the domain ends here rather than goes on wrongly.
            Domain.CrashFrom(this, $"the monitor failed: {error.GetType().Name}: {error.Message}", error.StackTrace);
        }
        finally
        {
            _clock.Detach();
            Volatile.Write(ref _quiet, 1);
        }
    }

    /// <summary>Bad guest behaviour with no error to return: the domain stops with a crash report.</summary>
    public void CrashGuest(string reason) => Domain.CrashFrom(this, reason, null);

    public void Dispose() => _wake.Dispose();
}
