using System;
using System.Threading;
using Ryokan.GuestMemory;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Events;

/// <summary>
/// The event channels of one domain: the port table and the operations of event_channel_op
/// (xen/event_channel.h), in the two-level and the FIFO ABI. Methods named after an operation return what
/// the hypercall returns: 0 or a negative errno. Any thread may call anything at any time; sending takes
/// the lock of one port and never allocates.
/// </summary>
/// <remarks>
/// The domain at the other end of an interdomain channel is the monitor (domain 0), bound with
/// <see cref="BindBackend"/>, or the domain itself.
/// </remarks>
public sealed partial class EventChannels
{
    /// <summary>Most ports of a domain, port 0 included, in either ABI.</summary>
    public const int MaxPorts = EventTwoLevel.NrChannels;

    /// <summary>The domain that the monitor's back ends stand for.</summary>
    public const ushort BackendDomain = 0;

    private readonly Lock _lock = new();
    private readonly GuestFrames _frames;
    private readonly ushort _domain;
    private readonly IUpcallSink _sink;
    private readonly TwoLevelEvents _twoLevel;

    /// <summary>Ports that were ever in use, from 1 on; entries never change once set.</summary>
    private readonly EventPort?[] _ports = new EventPort?[MaxPorts];

    /// <summary>Port of each VIRQ, per vCPU; 0 = none.</summary>
    private readonly uint[] _virqPorts;

    /// <summary>No port below this one is free.</summary>
    private uint _lowestFree = 1;

    /// <summary>Null while the two-level ABI is in force.</summary>
    private FifoEvents? _fifo;

    /// <summary>Whether the guest may switch to the FIFO ABI; otherwise init_control gives -ENOSYS.</summary>
    public bool AllowFifo { get; init; } = true;

    public VcpuInfoTable VcpuInfo { get; }

    public int VcpuCount => VcpuInfo.VcpuCount;

    /// <summary>All ports free, two-level ABI, events of every vCPU masked.</summary>
    /// <param name="domain">the domain's own id</param>
    /// <param name="sharedInfoMfn">a zeroed frame of the domain</param>
    public EventChannels(GuestFrames frames, ulong sharedInfoMfn, int vcpus, ushort domain, IUpcallSink sink)
    {
        _frames = frames;
        _domain = domain;
        _sink = sink;
        VcpuInfo = new VcpuInfoTable(frames, sharedInfoMfn, vcpus);
        _twoLevel = new TwoLevelEvents(frames, sharedInfoMfn, VcpuInfo);
        _virqPorts = new uint[vcpus * Virq.Count];
        _pollPorts = new uint[vcpus];
    }

    /// <summary>
    /// EVTCHNOP_alloc_unbound. -ESRCH, -EPERM: the channel would be another domain's; -ENOSPC.
    /// </summary>
    public long AllocUnbound(ushort dom, ushort remoteDom, out uint port)
    {
        port = 0;
        long error = CheckOwn(dom);
        return error != 0 ? error : Bind(out port, p =>
        {
            p.State = PortState.Unbound;
            p.RemoteDomain = remoteDom == Domid.Self ? _domain : remoteDom;
        });
    }

    /// <summary>
    /// EVTCHNOP_bind_interdomain. The other end can only be a port of this domain that is unbound for it:
    /// back ends bind the guest's ports, not the guest theirs.
    /// </summary>
    public long BindInterdomain(ushort remoteDom, uint remotePort, out uint localPort)
    {
        localPort = 0;
        if (remoteDom != Domid.Self && remoteDom != _domain)
        {
            return remoteDom == BackendDomain ? -Errno.EINVAL : -Errno.ESRCH;
        }
        EventPort local;
        lock (_lock)
        {
            EventPort? remote = Port(remotePort);
            if (remote == null || remote.State != PortState.Unbound || remote.RemoteDomain != _domain)
            {
                return -Errno.EINVAL;
            }
            long error = AllocatePort(out local!);
            if (error != 0)
            {
                return error;
            }
            lock (remote.Lock)
            {
                remote.State = PortState.Interdomain;
                remote.RemotePort = local.Port;
            }
            lock (local.Lock)
            {
                local.State = PortState.Interdomain;
                local.RemoteDomain = _domain;
                local.RemotePort = remotePort;
            }
        }
        localPort = local.Port;
        // A send to the unbound port may have been lost: let the guest look once.
        Deliver(local);
        return 0;
    }

    /// <summary>
    /// EVTCHNOP_bind_virq. -EINVAL: no such VIRQ, or a global one not on vCPU 0; -ENOENT: no such vCPU;
    /// -EEXIST: bound already; -ENOSPC.
    /// </summary>
    public long BindVirq(uint virq, uint vcpu, out uint port)
    {
        port = 0;
        if (virq >= Virq.Count || (!IsPerVcpu(virq) && vcpu != 0))
        {
            return -Errno.EINVAL;
        }
        if (vcpu >= (uint)VcpuCount)
        {
            return -Errno.ENOENT;
        }
        lock (_lock)
        {
            ref uint slot = ref _virqPorts[vcpu * Virq.Count + virq];
            if (slot != 0)
            {
                return -Errno.EEXIST;
            }
            long error = Bind(out port, p =>
            {
                p.State = PortState.Virq;
                p.Virq = virq;
                p.Vcpu = (int)vcpu;
            });
            Volatile.Write(ref slot, port);
            return error;
        }
    }

    /// <summary>EVTCHNOP_bind_ipi. -ENOENT: no such vCPU; -ENOSPC.</summary>
    public long BindIpi(uint vcpu, out uint port)
    {
        port = 0;
        return vcpu >= (uint)VcpuCount ? -Errno.ENOENT : Bind(out port, p =>
        {
            p.State = PortState.Ipi;
            p.Vcpu = (int)vcpu;
        });
    }

    /// <summary>EVTCHNOP_close. -EINVAL: no such port.</summary>
    public long Close(uint port)
    {
        lock (_lock)
        {
            EventPort? p = Port(port);
            if (p == null || p.State == PortState.Free)
            {
                return -Errno.EINVAL;
            }
            if (p.State == PortState.Virq)
            {
                Volatile.Write(ref _virqPorts[VirqOwner(p) * (int)Virq.Count + (int)p.Virq], 0);
            }
            uint peer = p.RemotePort;
            lock (p.Lock)
            {
                ClearPending(p);
                p.Unbind();
            }
            _lowestFree = Math.Min(_lowestFree, port);
            if (peer != 0 && peer != port && Port(peer) is { } other)
            {
                lock (other.Lock)
                {
                    other.State = PortState.Unbound;
                    other.RemotePort = 0;
                }
            }
            return 0;
        }
    }

    /// <summary>
    /// EVTCHNOP_status. <paramref name="status"/> is filled in on success. -EINVAL, -ESRCH, -EPERM.
    /// </summary>
    public long Status(ref EvtchnStatus status)
    {
        long error = CheckOwn(status.Dom);
        if (error != 0)
        {
            return error;
        }
        EvtchnStatus result = new() { Dom = status.Dom, Port = status.Port };
        if (status.Port == 0 || status.Port >= MaxPorts)
        {
            return -Errno.EINVAL;
        }
        if (Port(status.Port) is { } p)
        {
            lock (p.Lock)
            {
                Describe(p, ref result);
            }
        }
        status = result;
        return 0;
    }

    private static void Describe(EventPort p, ref EvtchnStatus result)
    {
        result.Status = (uint)p.State;
        result.Vcpu = (uint)p.Vcpu;
        switch (p.State)
        {
            case PortState.Unbound:
                result.UnboundDom = p.RemoteDomain;
                break;
            case PortState.Interdomain:
                result.InterdomainDom = p.RemoteDomain;
                result.InterdomainPort = p.RemotePort != 0 ? p.RemotePort : p.Port;
                break;
            case PortState.Virq:
                result.Virq = p.Virq;
                break;
        }
    }

    /// <summary>
    /// EVTCHNOP_bind_vcpu: where the port's events go from now on. -ENOENT: no such vCPU; -EINVAL: no such
    /// port, or one that is bound to its vCPU for good (IPI, per-vCPU VIRQ).
    /// </summary>
    public long BindVcpu(uint port, uint vcpu)
    {
        if (vcpu >= (uint)VcpuCount)
        {
            return -Errno.ENOENT;
        }
        if (Port(port) is not { } p)
        {
            return -Errno.EINVAL;
        }
        lock (p.Lock)
        {
            bool movable = p.State is PortState.Unbound or PortState.Interdomain
                || (p.State == PortState.Virq && !IsPerVcpu(p.Virq));
            if (!movable)
            {
                return -Errno.EINVAL;
            }
            p.Vcpu = (int)vcpu;
        }
        return 0;
    }

    /// <summary>
    /// Moves a vCPU's vcpu_info (VCPUOP_register_vcpu_info) and marks everything pending there. -EINVAL: bad
    /// place, or moved before; -ENOENT: no such vCPU.
    /// </summary>
    public long SetVcpuInfo(int vcpu, ulong mfn, int offset)
    {
        if ((uint)vcpu >= (uint)VcpuCount)
        {
            return -Errno.ENOENT;
        }
        lock (_lock)
        {
            long error = VcpuInfo.Move(vcpu, mfn, offset);
            if (error != 0)
            {
                return error;
            }
        }
        _sink.Raise(vcpu);
        return 0;
    }

    /// <summary>
    /// Opens a channel between the guest and a back end of the monitor. With no
    /// <paramref name="guestPort"/> a new port of the guest is bound (xenstore, console); otherwise the
    /// port must be one that the guest left unbound for domain 0, and the back end is told at once, as a
    /// send may have gone before.
    /// </summary>
    /// <param name="onGuestSend">runs on the sending vCPU's thread: must only wake a worker</param>
    /// <returns>0; -EINVAL: no such unbound port; -ENOSPC</returns>
    public long BindBackend(uint? guestPort, Action onGuestSend, out uint port)
    {
        port = 0;
        if (guestPort is not { } wanted)
        {
            return Bind(out port, p =>
            {
                p.State = PortState.Interdomain;
                p.RemoteDomain = BackendDomain;
                p.Backend = onGuestSend;
            });
        }
        if (Port(wanted) is not { } p)
        {
            return -Errno.EINVAL;
        }
        lock (p.Lock)
        {
            if (p.State != PortState.Unbound || p.RemoteDomain != BackendDomain)
            {
                return -Errno.EINVAL;
            }
            p.State = PortState.Interdomain;
            p.Backend = onGuestSend;
        }
        port = wanted;
        onGuestSend();
        return 0;
    }

    /// <summary>
    /// Closes the monitor's end: the guest's port is unbound again. Does nothing on any other port.
    /// </summary>
    public void UnbindBackend(uint port)
    {
        if (Port(port) is { } p)
        {
            lock (p.Lock)
            {
                if (p.State == PortState.Interdomain && p.Backend != null)
                {
                    p.State = PortState.Unbound;
                    p.Backend = null;
                }
            }
        }
    }

    /// <summary>A new port, bound by <paramref name="bind"/> under its lock.</summary>
    private long Bind(out uint port, Action<EventPort> bind)
    {
        lock (_lock)
        {
            long error = AllocatePort(out EventPort? p);
            port = p?.Port ?? 0;
            if (error != 0)
            {
                return error;
            }
            lock (p!.Lock)
            {
                bind(p);
            }
            return 0;
        }
    }

    /// <summary>The lowest free port that is on no queue any more. -ENOSPC: all are in use.</summary>
    private long AllocatePort(out EventPort? p)
    {
        bool skipped = false;
        for (uint port = _lowestFree; port < MaxPorts; port++)
        {
            p = _ports[port];
            bool free = p == null || p.State == PortState.Free;
            bool linked = free && _fifo != null && _fifo.IsLinked(port);
            if (!free || linked)
            {
                skipped |= linked;
                continue;
            }
            if (!skipped)
            {
                _lowestFree = port + 1;
            }
            if (p == null)
            {
                p = new EventPort(port);
                Volatile.Write(ref _ports[port], p);
            }
            return 0;
        }
        p = null;
        return -Errno.ENOSPC;
    }

    private EventPort? Port(uint port) => port < MaxPorts ? Volatile.Read(ref _ports[port]) : null;

    private long CheckOwn(ushort dom) =>
        dom == Domid.Self || dom == _domain ? 0 : dom == BackendDomain ? -Errno.EPERM : -Errno.ESRCH;

    private static bool IsPerVcpu(uint virq) =>
        virq is Virq.Timer or Virq.Debug or Virq.Xenoprof or Virq.Xenpmu;

    /// <summary>
    /// The vCPU in whose table a VIRQ port stands: global ones are vCPU 0's wherever they go.
    /// </summary>
    private static int VirqOwner(EventPort p) => IsPerVcpu(p.Virq) ? p.Vcpu : 0;
}
