using System;
using System.Numerics;
using Ryokan.Engine;
using Ryokan.X86;

namespace Ryokan.Hypervisor.Cpuid;

/// <summary>
/// What CPUID tells a PV guest: what the engine can execute, less what a PV guest may not see, with the
/// topology of the domain and Xen's own leaves (xen-guest-abi notes on CPUID; Intel SDM vol. 2, CPUID; AMD
/// APM vol. 3, appendix E). The same for CPUID with and without the forced-emulation prefix, and fixed for
/// the life of the domain.
/// </summary>
internal sealed class CpuidPolicy
{
    private const uint MaxBasicLeaf = 0x16, MaxExtendedLeaf = 0x80000008;
    private const uint FirstExtendedLeaf = 0x80000000, FirstHypervisorLeaf = 0x40000000, LastHypervisorLeaf = 0x4000ffff;

    /// <summary>"GenuineIntel" in ebx.</summary>
    private const uint IntelEbx = 0x756e6547;

    /// <summary>Machine addresses of the domain stay below 2^44: with more Linux takes grant table version 2.</summary>
    private const uint MachineAddressWidth = 44;

    /// <summary>
    /// Family 6, model 0x3c (Haswell): AVX2 and no AVX-512, as what we show. Code that the
    /// compiler cloned for one processor model is chosen by this number alone, not by feature bits, so the
    /// model of a host with AVX-512 would lead programs to instructions that the guest does not have.
    /// </summary>
    private const uint HaswellSignature = 0x000306c3;

    private const uint AvxEcx = 1u << 28, XsaveEcx = 1u << 26, OsxsaveEcx = 1u << 27, HypervisorEcx = 1u << 31;
    private const uint ApicEdx = 1u << 9, HyperThreadingEdx = 1u << 28;

    private const uint LegacyXsaveSize = 576, AvxXsaveOffset = 576, AvxXsaveSize = 256;

    private readonly IEngine _engine;
    private readonly XenCpuidLeaves _xen;
    private readonly uint _vcpus;
    private readonly uint _maxBasic;
    private readonly bool _intel;
    private readonly uint _baseMegahertz;

    /// <param name="engine">says what can be executed</param>
    /// <param name="vcpus">vCPUs of the domain, for the topology</param>
    /// <param name="tscKilohertz">rate of the guest's TSC</param>
    public CpuidPolicy(IEngine engine, int vcpus, uint tscKilohertz)
    {
        _engine = engine;
        _vcpus = (uint)vcpus;
        _xen = new XenCpuidLeaves(tscKilohertz, MachineAddressWidth);
        CpuidResult basic = engine.Cpuid(0, 0);
        _intel = basic.Ebx == IntelEbx;
        _baseMegahertz = (tscKilohertz + 500) / 1000;
        // Linux takes the frequency from leaf 16h only of Intel's CPUs; otherwise it probes a timer chip.
        _maxBasic = _intel ? MaxBasicLeaf : Math.Clamp(basic.Eax, 0xd, MaxBasicLeaf);
        Xcr0Mask = (FeaturesEcx & XsaveEcx) == 0 ? 0u : (FeaturesEcx & AvxEcx) != 0 ? 7u : 3u;
    }

    /// <summary>XCR0 bits the guest may set: x87, SSE and AVX, as far as the engine has them.</summary>
    public uint Xcr0Mask { get; }

    private uint FeaturesEcx => _engine.Cpuid(1, 0).Ecx & CpuidMasks.Leaf1Ecx;

    public CpuidResult Get(int vcpu, uint leaf, uint subleaf)
    {
        if (leaf is >= FirstHypervisorLeaf and <= LastHypervisorLeaf)
        {
            return _xen.Get(leaf, subleaf);
        }
        if (leaf >= FirstExtendedLeaf)
        {
            return Extended(leaf);
        }
        return leaf <= _maxBasic ? Basic((uint)vcpu, leaf, subleaf) : default;
    }

    private CpuidResult Basic(uint vcpu, uint leaf, uint subleaf)
    {
        CpuidResult raw = _engine.Cpuid(leaf, subleaf);
        switch (leaf)
        {
            case 0:
                return raw with { Eax = _maxBasic };
            case 1:
                return Features(raw, vcpu);
            case 2:
                return raw;
            case 4:
                return _intel ? Caches(raw) : default;
            case 6:
                return new CpuidResult(raw.Eax & CpuidMasks.Leaf6Eax, 0, 0, 0);
            case 7:
                return StructuredFeatures(raw, subleaf);
            case 0xb:
                return Topology(vcpu, subleaf);
            case 0xd:
                return ExtendedState(raw, subleaf);
            case 0x16:
                return _intel ? new CpuidResult(_baseMegahertz, _baseMegahertz, 0, 0) : default;
            default:
                return default;
        }
    }

    private CpuidResult Features(CpuidResult raw, uint vcpu)
    {
        uint ecx = (raw.Ecx & CpuidMasks.Leaf1Ecx) | HypervisorEcx;
        if ((ecx & XsaveEcx) != 0)
        {
            ecx |= OsxsaveEcx;
        }
        uint edx = (raw.Edx & CpuidMasks.Leaf1Edx) | ApicEdx | (_vcpus > 1 ? HyperThreadingEdx : 0);
        // ebx: APIC id, logical processors per package, CLFLUSH size, brand index.
        uint ebx = (vcpu << 24) | (_vcpus << 16) | (raw.Ebx & 0xff00);
        return new CpuidResult(_intel ? HaswellSignature : raw.Eax, ebx, ecx, edx);
    }

    /// <summary>Deterministic cache parameters: each vCPU is a core; caches up to level 2 are its own.</summary>
    private CpuidResult Caches(CpuidResult raw)
    {
        if ((raw.Eax & 0x1f) == 0)
        {
            return default;
        }
        uint level = (raw.Eax >> 5) & 7;
        uint sharing = level >= 3 ? _vcpus - 1 : 0;
        return raw with { Eax = (raw.Eax & 0x3fff) | (sharing << 14) | ((_vcpus - 1) << 26) };
    }

    private CpuidResult StructuredFeatures(CpuidResult raw, uint subleaf)
    {
        if (subleaf != 0)
        {
            return default;
        }
        uint edx = (raw.Edx & CpuidMasks.Leaf7Edx) | (_intel ? CpuidMasks.SpeculationEdx : 0);
        return new CpuidResult(0, raw.Ebx & CpuidMasks.Leaf7Ebx, raw.Ecx & CpuidMasks.Leaf7Ecx, edx);
    }

    /// <summary>One thread per core, all cores in one package; x2APIC id = vCPU id.</summary>
    private CpuidResult Topology(uint vcpu, uint subleaf)
    {
        const uint threadLevel = 1 << 8, coreLevel = 2 << 8;
        uint coreBits = (uint)BitOperations.Log2(BitOperations.RoundUpToPowerOf2(_vcpus));
        return subleaf switch
        {
            0 => new CpuidResult(0, 1, threadLevel, vcpu),
            1 => new CpuidResult(coreBits, _vcpus, coreLevel | 1, vcpu),
            _ => new CpuidResult(0, 0, subleaf, vcpu),
        };
    }

    private CpuidResult ExtendedState(CpuidResult raw, uint subleaf)
    {
        uint size = Xcr0Mask == 7 ? AvxXsaveOffset + AvxXsaveSize : LegacyXsaveSize;
        return Xcr0Mask == 0 ? default : subleaf switch
        {
            0 => new CpuidResult(Xcr0Mask, size, size, 0),
            1 => new CpuidResult(raw.Eax & CpuidMasks.LeafD1Eax, size, 0, 0),
            2 when Xcr0Mask == 7 => new CpuidResult(AvxXsaveSize, AvxXsaveOffset, 0, 0),
            _ => default,
        };
    }

    private CpuidResult Extended(uint leaf)
    {
        CpuidResult raw = leaf <= MaxExtendedLeaf ? _engine.Cpuid(leaf, 0) : default;
        switch (leaf)
        {
            case FirstExtendedLeaf:
                return raw with { Eax = MaxExtendedLeaf };
            case 0x80000001:
                return new CpuidResult(
                    raw.Eax, raw.Ebx, raw.Ecx & CpuidMasks.Extended1Ecx, raw.Edx & CpuidMasks.Extended1Edx);
            case 0x80000002 or 0x80000003 or 0x80000004 or 0x80000005 or 0x80000006:
                return raw;
            case 0x80000007:
                return new CpuidResult(0, 0, 0, raw.Edx & CpuidMasks.Extended7Edx);
            case MaxExtendedLeaf:
                uint width = Math.Min(raw.Eax & 0xff, MachineAddressWidth);
                return new CpuidResult((48 << 8) | (width == 0 ? MachineAddressWidth : width), 0,
                    _intel ? 0 : _vcpus - 1, 0);
            default:
                return default;
        }
    }
}
