using System;
using System.Linq;
using Ryokan.Engine;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Cpuid;
using Ryokan.Hypervisor.Events;
using Ryokan.Hypervisor.Grants;
using Ryokan.Hypervisor.Memory;
using Ryokan.Hypervisor.Time;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor;

/// <summary>
/// One Xen PV64 domain: its frames, engine, vCPUs, event channels, grant table and life cycle. Build it,
/// load it (DomainBuilder), <see cref="SetInitialState"/>, <see cref="Start"/>, <see cref="WaitForShutdown"/>,
/// <see cref="Dispose"/>.
/// </summary>
public sealed partial class Domain : IUpcallSink, IDisposable
{
    /// <summary>Most vCPUs of a domain: those that have a place in shared_info.</summary>
    public const int MaxVcpus = SharedInfo.LegacyMaxVcpus;

    /// <summary>CPUID 0x80000007 edx: the TSC runs at one rate in all power states.</summary>
    private const uint InvariantTsc = 1 << 8;

    private readonly Vcpu[] _vcpus;

    /// <summary>Makes the domain, stopped and empty; takes some 10 ms to measure the host's TSC.</summary>
    /// <exception cref="ArgumentException">options that cannot be (operator error): no vCPU, too many, no memory</exception>
    public Domain(DomainOptions options)
    {
        Check(options);
        Options = options;
        Frames = options.Frames;
        InitialPages = options.InitialPages == 0 ? Frames.RamFrames : options.InitialPages;
        SharedInfoMfn = Frames.AllocateSpecial() ?? throw new InvalidOperationException("no special frame left");
        MachineToPhysical = new MachineToPhysical(Frames.RamFrames, InitialPages);
        PageTypes = new PageTypes(Frames);
        Engine = options.CreateEngine(Frames, MachineToPhysical.Hole);
        AllVcpus = (1UL << options.Vcpus) - 1;
        Balloon = new Balloon(Frames, MachineToPhysical, PageTypes, Engine, AllVcpus, InitialPages);
        Events = new EventChannels(Frames, SharedInfoMfn, options.Vcpus, (ushort)options.DomainId, this);
        Grants = new GrantTable(Frames, (ushort)options.DomainId);
        bool tscStable = (Engine.Cpuid(0x80000007, 0).Edx & InvariantTsc) != 0;
        Time = new DomainTime(Frames, SharedInfoMfn, Events.VcpuInfo, new HostClock(Engine.ReadTsc), tscStable,
            vcpu => Events.RaiseVirq(vcpu, Virq.Timer));
        Cpuid = new CpuidPolicy(Engine, options.Vcpus, Time.Line.TscKhz);
        Watchdogs = new Watchdogs(() => ShutDownNow(ShutdownReason.Watchdog));
        _vcpus = Enumerable.Range(0, options.Vcpus).Select(id => new Vcpu(this, id)).ToArray();
    }

    public int Id => Options.DomainId;

    public string Name => Options.Name;

    public Guid Uuid => Options.Uuid;

    public DomainOptions Options { get; }

    public GuestFrames Frames { get; }

    /// <summary>Frames populated when the guest starts (start_info.nr_pages).</summary>
    public ulong InitialPages { get; }

    /// <summary>Frames populated now (memory column of xm list).</summary>
    public ulong CurrentPages => Balloon.Populated;

    /// <summary>
    /// Frames that the guest may have populated at most (xm mem-max); never more than it was made with. What it
    /// has already stays.
    /// </summary>
    public ulong MaximumPages
    {
        get => Balloon.Maximum;
        set => Balloon.Maximum = value;
    }

    /// <summary>mfn of the shared_info frame (start_info.shared_info = this &lt;&lt; 12).</summary>
    public ulong SharedInfoMfn { get; }

    public int VcpuCount => Options.Vcpus;

    public EventChannels Events { get; }

    public GrantTable Grants { get; }

    public DomainTime Time { get; }

    internal IEngine Engine { get; }

    internal MachineToPhysical MachineToPhysical { get; }

    internal PageTypes PageTypes { get; }

    internal Balloon Balloon { get; }

    internal CpuidPolicy Cpuid { get; }

    internal Watchdogs Watchdogs { get; }

    /// <summary>Bit per vCPU.</summary>
    internal ulong AllVcpus { get; }

    internal Vcpu Vcpu(int id) => _vcpus[id];

    /// <summary>The hole that is Xen's in every address space (L4 slots 256-271).</summary>
    internal static bool IsHypervisorAddress(ulong va) =>
        va is >= VirtualLayout.HypervisorVirtStart and < VirtualLayout.HypervisorVirtEnd;

    /// <summary>vm_assist types in force, bit per type.</summary>
    internal ulong VmAssist
    {
        get => System.Threading.Volatile.Read(ref _vmAssist);
        set
        {
            System.Threading.Volatile.Write(ref _vmAssist, value);
            Time.RunstateUpdateFlag = (value >> VmAssistType.RunstateUpdateFlag & 1) != 0;
        }
    }

    private ulong _vmAssist;

    /// <inheritdoc/>
    void IUpcallSink.Raise(int vcpu) => _vcpus[vcpu].Raise();

    private static void Check(DomainOptions options)
    {
        if (options.Vcpus is < 1 or > MaxVcpus)
        {
            throw new ArgumentException($"vcpus: {options.Vcpus} is not between 1 and {MaxVcpus}");
        }
        if (options.DomainId is < 1 or >= Domid.FirstReserved)
        {
            throw new ArgumentException($"domain id: {options.DomainId} is not between 1 and {Domid.FirstReserved - 1}");
        }
        if (options.InitialPages > options.Frames.RamFrames)
        {
            throw new ArgumentException(
                $"memory: {options.InitialPages} pages are more than the maximum of {options.Frames.RamFrames}");
        }
    }

    /// <summary>
    /// The entry state of vCPU 0 (the rest is fixed by the ABI); also pins the L4 table the builder made.
    /// </summary>
    /// <param name="rip">kernel entry address</param>
    /// <param name="rsp">end of the boot stack</param>
    /// <param name="startInfo">virtual address of start_info (rsi)</param>
    /// <param name="rootMfn">mfn of the L4 table</param>
    /// <exception cref="InvalidOperationException">the tables are not well formed (builder error)</exception>
    public void SetInitialState(ulong rip, ulong rsp, ulong startInfo, ulong rootMfn)
    {
        if (PageTypes.Pin(rootMfn, PageType.L4) != 0 || !_vcpus[0].TrySetInitialState(rip, rsp, startInfo, rootMfn))
        {
            throw new InvalidOperationException($"frame {rootMfn:x} is no well-formed L4 page table");
        }
    }

    /// <summary>
    /// Opens the next event port of the guest as interdomain with domain 0: the first call gives port 1
    /// (xenstore), the second port 2 (console). The callback runs when the guest sends; on the vCPU's
    /// thread, so it must only wake a worker.
    /// </summary>
    public uint AllocateBackendPort(Action onGuestNotify) =>
        Events.BindBackend(null, onGuestNotify, out uint port) == 0 ? port
            : throw new InvalidOperationException("no event port is left");

    /// <summary>Raises an event port of the guest from a back end. Any thread.</summary>
    public void NotifyGuest(uint port) => Events.NotifyGuest(port);
}
