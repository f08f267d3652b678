using Ryokan.Engine;
using Ryokan.X86;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>Model-specific registers a PV kernel may touch (Intel SDM vol. 4); every other one is #GP.</summary>
internal sealed partial class Vcpu
{
    private const uint MsrPlatformId = 0x17, MsrApicBase = 0x1b, MsrFeatureControl = 0x3a, MsrMicrocode = 0x8b,
        MsrPlatformInfo = 0xce, MsrMiscFeatures = 0x140, MsrMiscEnable = 0x1a0, MsrPat = 0x277,
        MsrEfer = 0xc0000080, MsrFsBase = 0xc0000100, MsrGsBase = 0xc0000101, MsrKernelGsBase = 0xc0000102;

    /// <summary>AMD's hardware configuration and decode configuration.</summary>
    private const uint MsrHwcr = 0xc0010015, MsrDecodeConfig = 0xc0011029;

    /// <summary>LFENCE waits for all instructions before it.</summary>
    private const ulong DecodeConfigLfence = 2;

    /// <summary>APIC enabled at its architectural address; bit 8: boot processor.</summary>
    private const ulong ApicBase = 0xfee00800, ApicBaseBootProcessor = 0x100;

    /// <summary>Xen's PAT: WB WT UC- UC WC WP.</summary>
    private const ulong Pat = 0x050100070406;

    /// <summary>SCE LME LMA NX.</summary>
    private const ulong Efer = 0xd01;

    /// <summary>Fast strings; BTS and PEBS unavailable.</summary>
    private const ulong MiscEnable = 0x1801;

    /// <summary>Locked: VMX and SGX stay off.</summary>
    private const ulong FeatureControlLocked = 1;

    private ulong _specCtrl;

    private bool EmulateRdmsr(ref VcpuRegisters r)
    {
        if (!TryReadMsr(ref r, (uint)r[Gpr.Rcx], out ulong value) && HandlesFaults)
        {
            return false;
        }
        r[Gpr.Rax] = (uint)value;
        r[Gpr.Rdx] = value >> 32;
        return true;
    }

    /// <summary>Before the kernel registered a #GP handler a fault would end it: unknown MSRs read 0 then.</summary>
    private bool HandlesFaults => Traps[(int)ExceptionVector.GeneralProtection].Address != 0;

    private bool TryReadMsr(ref VcpuRegisters r, uint msr, out ulong value)
    {
        switch (msr)
        {
            case MsrFsBase:
                value = r.FsBase;
                return true;
            case MsrGsBase:
                value = r.GsBase;
                return true;
            case MsrKernelGsBase:
                value = OtherGsBase;
                return true;
            case MsrEfer:
                value = Efer;
                return true;
            case MsrApicBase:
                value = ApicBase | (Id == 0 ? ApicBaseBootProcessor : 0);
                return true;
            case MsrPat:
                value = Pat;
                return true;
            case MsrMiscEnable:
                value = MiscEnable;
                return true;
            case MsrFeatureControl:
                value = FeatureControlLocked;
                return true;
            case MsrHwcr when Domain.Cpuid.HasAmdMsrs:
                value = 0;
                return true;
            case MsrDecodeConfig when Domain.Cpuid.HasAmdMsrs:
                value = DecodeConfigLfence;
                return true;
            case SpeculationMsrs.ArchCapabilities:
                value = SpeculationMsrs.Capabilities;
                return true;
            case SpeculationMsrs.SpecCtrl:
                value = _specCtrl;
                return true;
            default:
                value = 0;
                return msr is MsrPlatformId or MsrMicrocode or MsrPlatformInfo or MsrMiscFeatures;
        }
    }

    private bool EmulateWrmsr(ref VcpuRegisters r)
    {
        ulong value = EdxEax(ref r);
        switch ((uint)r[Gpr.Rcx])
        {
            case MsrFsBase:
                return TrySetBase(ref r.FsBase, value);
            case MsrGsBase:
                return TrySetBase(ref r.GsBase, value);
            case MsrKernelGsBase:
                return TrySetBase(ref OtherGsBase, value);
            case MsrEfer:
                return value == Efer;
            case MsrPat:
                return value == Pat;
            case SpeculationMsrs.SpecCtrl:
                _specCtrl = value;
                return true;
            case SpeculationMsrs.PredCmd:
                return true;
            case MsrApicBase or MsrMiscEnable or MsrMicrocode or MsrMiscFeatures:
                return true;
            case MsrDecodeConfig when Domain.Cpuid.HasAmdMsrs:
                return true;
            default:
                return !HandlesFaults;
        }
    }

    private static bool TrySetBase(ref ulong segmentBase, ulong value)
    {
        if (!PageTableEntry.IsCanonical(value))
        {
            return false;
        }
        segmentBase = value;
        return true;
    }
}
