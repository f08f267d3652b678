namespace Ryokan.Hypervisor.Vcpus;

/// <summary>
/// The MSRs by which a processor says which speculation weaknesses it has not (Intel SDM vol. 4,
/// IA32_ARCH_CAPABILITIES). Guest branches and returns are translated into jumps through tables, so thunks,
/// retpolines and buffer clearing inside the guest protect nothing there; isolation between guests is
/// the host kernel's, which mitigates at the switch between their processes. The guest is told so.
/// </summary>
internal static class SpeculationMsrs
{
    public const uint SpecCtrl = 0x48, PredCmd = 0x49, ArchCapabilities = 0x10a;

    /// <summary>
    /// RDCL_NO, IBRS_ALL, SKIP_L1DFL, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO,
    /// BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
    /// </summary>
    public const ulong Capabilities = 1UL << 0 | 1UL << 1 | 1UL << 3 | 1UL << 4 | 1UL << 5 | 1UL << 6 | 1UL << 8
        | 1UL << 13 | 1UL << 14 | 1UL << 15 | 1UL << 20 | 1UL << 24 | 1UL << 26 | 1UL << 27 | 1UL << 62;
}
