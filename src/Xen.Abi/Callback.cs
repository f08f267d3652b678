using System.Runtime.InteropServices;

namespace Ryokan.Xen.Abi;

/// <summary>Argument of CALLBACKOP_register (callback.h).</summary>
[CName("struct callback_register")]
[StructLayout(LayoutKind.Sequential)]
public struct CallbackRegister
{
    /// <summary><see cref="CallbackType"/>.</summary>
    public ushort Type;

    /// <summary><see cref="CallbackFlags"/>.</summary>
    public ushort Flags;
    public ulong Address;
}

/// <summary>Argument of CALLBACKOP_unregister (callback.h).</summary>
[CName("struct callback_unregister")]
[StructLayout(LayoutKind.Sequential)]
public struct CallbackUnregister
{
    public ushort Type;
    private ushort _unused;
}

/// <summary>First argument of callback_op (callback.h).</summary>
public static class CallbackOp
{
    [CName("CALLBACKOP_register")] public const uint Register = 0;
    [CName("CALLBACKOP_unregister")] public const uint Unregister = 1;
}

/// <summary>Values of <see cref="CallbackRegister.Type"/> (callback.h).</summary>
public static class CallbackType
{
    [CName("CALLBACKTYPE_event")] public const ushort Event = 0;
    [CName("CALLBACKTYPE_failsafe")] public const ushort Failsafe = 1;
    [CName("CALLBACKTYPE_syscall")] public const ushort Syscall = 2;
    [CName("CALLBACKTYPE_sysenter_deprecated")] public const ushort SysenterDeprecated = 3;
    [CName("CALLBACKTYPE_nmi")] public const ushort Nmi = 4;
    [CName("CALLBACKTYPE_sysenter")] public const ushort Sysenter = 5;
    [CName("CALLBACKTYPE_syscall32")] public const ushort Syscall32 = 7;
}

/// <summary>Bits of <see cref="CallbackRegister.Flags"/> (callback.h, CALLBACKF_*).</summary>
public static class CallbackFlags
{
    [CName("CALLBACKF_mask_events")] public const ushort MaskEvents = 0x1;
}
