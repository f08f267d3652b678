namespace Ryokan.Xen.Abi;

/// <summary>First argument of xenpmu_op (pmu.h).</summary>
public static class XenPmuOp
{
    [CName("XENPMU_mode_get")] public const uint ModeGet = 0;
    [CName("XENPMU_mode_set")] public const uint ModeSet = 1;
    [CName("XENPMU_feature_get")] public const uint FeatureGet = 2;
    [CName("XENPMU_feature_set")] public const uint FeatureSet = 3;
    [CName("XENPMU_init")] public const uint Init = 4;
    [CName("XENPMU_finish")] public const uint Finish = 5;
    [CName("XENPMU_lvtpc_set")] public const uint LvtpcSet = 6;
    [CName("XENPMU_flush")] public const uint Flush = 7;
}
