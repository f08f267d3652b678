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
    // The last basic leaf is Xen's, too (CPUID_GUEST_NR_BASIC): Linux then takes the frequency from Xen alone.
    private const uint MaxBasicLeaf = 0xd, AddressSizes = 0x80000008, AmdFeatures2 = 0x80000021;
    private const uint FirstExtendedLeaf = 0x80000000, FirstHypervisorLeaf = 0x40000000, LastHypervisorLeaf = 0x4000ffff;

    /// <summary>"GenuineIntel", "AuthenticAMD" and "HygonGenuine" in ebx.</summary>
    private const uint IntelEbx = 0x756e6547, AmdEbx = 0x68747541, HygonEbx = 0x6f677948;

    /// <summary>Machine addresses of the domain stay below 2^44: with more Linux takes grant table version 2.</summary>
    private const uint MachineAddressWidth = 44;

    /// <summary>
    /// Family 6, model 0x3c (Haswell): AVX2, and nothing that a guest may lack. Code that the
    /// compiler cloned for one processor model is chosen by this number alone, not by feature bits, so the
    /// model of a newer host would lead programs to instructions that the guest does not have (AMX, say).
    /// </summary>
    private const uint HaswellSignature = 0x000306c3;

    private const uint AvxEcx = 1u << 28, XsaveEcx = 1u << 26, OsxsaveEcx = 1u << 27, HypervisorEcx = 1u << 31;
    private const uint ApicEdx = 1u << 9, HyperThreadingEdx = 1u << 28;

    private const uint LegacyXsaveSize = 576, XsavecEax = 2;

    /// <summary>XCR0 bits: x87 and SSE; AVX; opmasks and the two parts of the AVX-512 registers (Intel SDM vol. 1, 13.1).</summary>
    private const uint LegacyState = 3, AvxState = 4, Avx512State = 0xe0;

    private readonly IEngine _engine;
    private readonly XenCpuidLeaves _xen;
    private readonly uint _vcpus;
    private readonly uint _maxExtended;
    private readonly bool _intel;

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
        HasAmdMsrs = basic.Ebx is AmdEbx or HygonEbx;
        _maxExtended = _intel ? AddressSizes : AmdFeatures2;
        uint offered = engine.Cpuid(0xd, 0).Eax;
        bool hasXsave = (FeaturesEcx & XsaveEcx) != 0, hasAvx = hasXsave && (FeaturesEcx & AvxEcx) != 0;
        Xcr0Mask = (hasXsave ? LegacyState : 0) | (hasAvx ? AvxState : 0)
            | (hasAvx && (offered & Avx512State) == Avx512State ? Avx512State : 0);
    }

    /// <summary>XCR0 bits the guest may set: x87, SSE, AVX and AVX-512, as far as the engine has them.</summary>
    public uint Xcr0Mask { get; }

    /// <summary>True when the guest's processor is one with AMD's MSRs.</summary>
    public bool HasAmdMsrs { get; }

    /// <summary>True when a guest may set XCR0 to a value: x87 always, AVX with SSE, all of AVX-512 with AVX (Intel SDM vol. 1, 13.3).</summary>
    public bool AllowsXcr0(ulong value) =>
        (value & 1) != 0 && (value & ~(ulong)Xcr0Mask) == 0
        && ((value & AvxState) == 0 || (value & LegacyState) == LegacyState)
        && ((value & Avx512State) == 0 || (value & (Avx512State | AvxState)) == (Avx512State | AvxState));

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
        return leaf <= MaxBasicLeaf ? Basic((uint)vcpu, leaf, subleaf) : default;
    }

    private CpuidResult Basic(uint vcpu, uint leaf, uint subleaf)
    {
        CpuidResult raw = _engine.Cpuid(leaf, subleaf);
        switch (leaf)
        {
            case 0:
                return raw with { Eax = MaxBasicLeaf };
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
            return subleaf == 1 ? new CpuidResult(raw.Eax & CpuidMasks.Leaf71Eax, 0, 0, 0) : default;
        }
        uint edx = (raw.Edx & CpuidMasks.Leaf7Edx) | CpuidMasks.SpeculationEdx | (_intel ? CpuidMasks.IntelSpeculationEdx : 0);
        return new CpuidResult(Math.Min(raw.Eax, 1), raw.Ebx & CpuidMasks.Leaf7Ebx, raw.Ecx & CpuidMasks.Leaf7Ecx, edx);
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
        if (Xcr0Mask == 0)
        {
            return default;
        }
        uint end = LegacyXsaveSize, compactedEnd = LegacyXsaveSize;
        for (int component = 2; component < 32; component++)
        {
            if ((Xcr0Mask >> component & 1) != 0)
            {
                CpuidResult layout = _engine.Cpuid(0xd, (uint)component);
                end = Math.Max(end, layout.Ebx + layout.Eax);
                compactedEnd = ((layout.Ecx & 2) != 0 ? (compactedEnd + 63) & ~63u : compactedEnd) + layout.Eax;
            }
        }
        bool isComponent = subleaf < 32 && (Xcr0Mask >> (int)subleaf & 1) != 0;
        return subleaf switch
        {
            0 => new CpuidResult(Xcr0Mask, end, end, 0),
            1 => raw with
            {
                Eax = raw.Eax & CpuidMasks.LeafD1Eax, Ebx = (raw.Eax & XsavecEax) != 0 ? compactedEnd : 0, Ecx = 0, Edx = 0,
            },
            _ => isComponent ? raw : default,
        };
    }

    private CpuidResult Extended(uint leaf)
    {
        CpuidResult raw = leaf <= AddressSizes ? _engine.Cpuid(leaf, 0) : default;
        switch (leaf)
        {
            case FirstExtendedLeaf:
                return raw with { Eax = _maxExtended };
            case 0x80000001:
                return new CpuidResult(
                    raw.Eax, raw.Ebx, raw.Ecx & CpuidMasks.Extended1Ecx, raw.Edx & CpuidMasks.Extended1Edx);
            case 0x80000002 or 0x80000003 or 0x80000004 or 0x80000005 or 0x80000006:
                return raw;
            case 0x80000007:
                // Xen shows an invariant TSC only to domains that never migrate (libxl_cpuid.c, "itsc"); with it
                // Linux on AMD also expects HWCR to say what the TSC counts with, which Xen does not.
                return default;
            case AddressSizes:
                uint width = Math.Min(raw.Eax & 0xff, MachineAddressWidth);
                return new CpuidResult((48 << 8) | (width == 0 ? MachineAddressWidth : width),
                    _intel ? 0 : CpuidMasks.AmdSpeculationEbx, _intel ? 0 : _vcpus - 1, 0);
            case AmdFeatures2 when !_intel:
                return new CpuidResult(CpuidMasks.AmdSpeculation21Eax, 0, CpuidMasks.AmdSpeculation21Ecx, 0);
            default:
                return default;
        }
    }
}
