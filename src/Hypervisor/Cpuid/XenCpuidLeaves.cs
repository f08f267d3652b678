using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Cpuid;

/// <summary>Leaves 0x40000000 .. 0x40000005 (arch-x86/cpuid.h) for a PV guest.</summary>
internal sealed class XenCpuidLeaves(uint tscKilohertz, uint machineAddressWidth)
{
    /// <summary>MSR that installs a hypercall page.</summary>
    private const uint HypercallMsr = 0x40000000;

    private const uint HypercallPages = 1;

    /// <summary>Leaf +3 eax: the host's TSC is reliable.</summary>
    private const uint HostTscReliable = 2;

    public CpuidResult Get(uint leaf, uint subleaf) => (leaf - XenCpuid.FirstLeaf) switch
    {
        0 => new CpuidResult(XenCpuid.FirstLeaf + XenCpuid.MaxNumLeaves,
            XenCpuid.SignatureEbx, XenCpuid.SignatureEcx, XenCpuid.SignatureEdx),
        1 => new CpuidResult(XenIdentity.Version, 0, 0, 0),
        2 => new CpuidResult(HypercallPages, HypercallMsr, XenCpuid.Feat1MmuPtUpdatePreserveAd, 0),
        3 => Tsc(subleaf),
        // +4 must stay zero: Linux tests a bit of it without asking which kind of guest it is.
        5 => new CpuidResult(0, machineAddressWidth & XenCpuid.MachineAddressWidthMask, 0, 0),
        _ => default,
    };

    private CpuidResult Tsc(uint subleaf) => subleaf switch
    {
        0 => new CpuidResult(HostTscReliable, 0, tscKilohertz, 0),
        1 => TscScale(),
        2 => new CpuidResult(tscKilohertz, 0, 0, 0),
        _ => default,
    };

    /// <summary>ns = (ticks shifted by edx) * ecx &gt;&gt; 32, the multiplier with its top bit set.</summary>
    private CpuidResult TscScale()
    {
        if (tscKilohertz == 0)
        {
            return default;
        }
        ulong multiplier = (1_000_000UL << 32) / tscKilohertz;
        int shift = 0;
        for (; multiplier > uint.MaxValue; multiplier >>= 1)
        {
            shift++;
        }
        for (; multiplier != 0 && (multiplier & 0x80000000) == 0; multiplier <<= 1)
        {
            shift--;
        }
        return new CpuidResult(0, 0, (uint)multiplier, (uint)shift);
    }
}
