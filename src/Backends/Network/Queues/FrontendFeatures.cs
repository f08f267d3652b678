using Ryokan.Backends.Network.Ports;
using Ryokan.Backends.Xenbus;

namespace Ryokan.Backends.Network.Queues;

/// <summary>What a front end says it can do (xen/include/public/io/netif.h).</summary>
/// <param name="Scatter">takes a frame in several buffers</param>
/// <param name="RxNotify">sends an event when it offers buffers</param>
/// <param name="FiltersMulticast">wants only the multicast addresses that it names</param>
/// <param name="Offload">what it takes over</param>
internal sealed record FrontendFeatures(
    bool Scatter, bool RxNotify, bool FiltersMulticast, GuestOffload Offload)
{
    /// <exception cref="FrontendException">it cannot work with us</exception>
    public static FrontendFeatures Read(DeviceNodes nodes)
    {
        if (!nodes.HasFeature("request-rx-copy"))
        {
            throw new FrontendException("the front end wants pages flipped (request-rx-copy is not 1)");
        }
        bool scatter = nodes.HasFeature("feature-sg");
        return new FrontendFeatures(
            scatter,
            nodes.HasFeature("feature-rx-notify"),
            nodes.HasFeature("request-multicast-control"),
            new GuestOffload(
                !nodes.HasFeature("feature-no-csum-offload"),
                nodes.HasFeature("feature-ipv6-csum-offload"),
                scatter && nodes.HasFeature("feature-gso-tcpv4"),
                scatter && nodes.HasFeature("feature-gso-tcpv6")));
    }
}
