using System;

namespace Ryokan.Hypervisor;

/// <summary>As which Xen we answer: 4.17, the version whose ABI was measured.</summary>
internal static class XenIdentity
{
    /// <summary>major &lt;&lt; 16 | minor.</summary>
    public const uint Version = 0x00040011;

    public static ReadOnlySpan<byte> ExtraVersion => ".0-ryokan"u8;

    public static ReadOnlySpan<byte> Capabilities => "xen-3.0-x86_64 "u8;

    public static ReadOnlySpan<byte> ChangeSet => "unavailable"u8;
}
