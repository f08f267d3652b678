namespace Ryokan.Xen.Abi;

/// <summary>First argument of vm_assist (xen.h).</summary>
public static class VmAssistCommand
{
    [CName("VMASST_CMD_enable")] public const uint Enable = 0;
    [CName("VMASST_CMD_disable")] public const uint Disable = 1;
}

/// <summary>Second argument of vm_assist: a bit number (xen.h).</summary>
public static class VmAssistType
{
    [CName("VMASST_TYPE_4gb_segments")] public const int FourGbSegments = 0;
    [CName("VMASST_TYPE_4gb_segments_notify")] public const int FourGbSegmentsNotify = 1;
    [CName("VMASST_TYPE_writable_pagetables")] public const int WritablePagetables = 2;
    [CName("VMASST_TYPE_pae_extended_cr3")] public const int PaeExtendedCr3 = 3;
    [CName("VMASST_TYPE_architectural_iopl")] public const int ArchitecturalIopl = 4;
    [CName("VMASST_TYPE_runstate_update_flag")] public const int RunstateUpdateFlag = 5;
    [CName("VMASST_TYPE_m2p_strict")] public const int M2pStrict = 32;
}
