using Ryokan.GuestMemory;
using Ryokan.Hypervisor;
using Ryokan.Hypervisor.Events;
using Ryokan.Hypervisor.Grants;

namespace Ryokan.Backends;

/// <summary>The parts of a domain that a back end works with.</summary>
/// <param name="DomainId">as the guest sees it</param>
/// <param name="Frames">its memory</param>
/// <param name="Events">its event channels</param>
/// <param name="Grants">what it grants</param>
public sealed record GuestAccess(int DomainId, GuestFrames Frames, EventChannels Events, GrantTable Grants)
{
    public static GuestAccess Of(Domain domain) =>
        new(domain.Id, domain.Frames, domain.Events, domain.Grants);
}
