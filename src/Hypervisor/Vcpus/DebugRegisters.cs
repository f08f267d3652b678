using Ryokan.X86;

namespace Ryokan.Hypervisor.Vcpus;

/// <summary>Debug-register constants (Intel SDM vol. 3, 17.2).</summary>
internal static class DebugRegisters
{
    public const ulong Dr6Reset = 0xffff0ff0, Dr7Reset = 0x400;

    public const ulong Dr6SingleStep = 0x4000;

    /// <summary>DR7.GD: general detect.</summary>
    public const ulong Dr7GeneralDetect = 0x2000;

    /// <summary>Bits of DR7 that can be set.</summary>
    public const ulong Dr7Writable = 0xffff23ff;

    public static bool HasTrap(this ulong rflags) => (rflags & (ulong)Rflags.TF) != 0;
}
