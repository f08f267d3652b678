using System;
using System.Collections.Generic;
using System.Threading;
using Ryokan.Engine;
using Ryokan.GuestMemory;

namespace Ryokan.Hypervisor;

/// <summary>
/// One Xen PV64 domain: its frames, engine, vCPUs, event channels, grant table and life cycle. Build it,
/// load it (DomainBuilder), <see cref="SetInitialState"/>, <see cref="Start"/>, <see cref="WaitForShutdown"/>,
/// <see cref="Dispose"/>.
/// </summary>
public sealed partial class Domain : IDisposable
{
    /// <summary>Most vCPUs of a domain (XEN_LEGACY_MAX_VCPUS: those that have a place in shared_info).</summary>
    public const int MaxVcpus = 32;

    public int Id => Options.DomainId;

    public string Name => Options.Name;

    public Guid Uuid => Options.Uuid;

    public DomainOptions Options { get; }

    public GuestFrames Frames { get; }

    /// <summary>Frames populated when the guest starts (start_info.nr_pages).</summary>
    public ulong InitialPages { get; }

    /// <summary>mfn of the shared_info frame (start_info.shared_info = this &lt;&lt; 12).</summary>
    public ulong SharedInfoMfn { get; }

    public int VcpuCount => Options.Vcpus;
}
