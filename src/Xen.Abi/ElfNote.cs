namespace Ryokan.Xen.Abi;

/// <summary>Types of the ELF notes with owner "Xen" (elfnote.h).</summary>
public static class ElfNote
{
    [CName("XEN_ELFNOTE_INFO")] public const uint Info = 0x0;
    [CName("XEN_ELFNOTE_ENTRY")] public const uint Entry = 0x1;
    [CName("XEN_ELFNOTE_HYPERCALL_PAGE")] public const uint HypercallPage = 0x2;
    [CName("XEN_ELFNOTE_VIRT_BASE")] public const uint VirtBase = 0x3;
    [CName("XEN_ELFNOTE_PADDR_OFFSET")] public const uint PaddrOffset = 0x4;
    [CName("XEN_ELFNOTE_XEN_VERSION")] public const uint XenVersion = 0x5;
    [CName("XEN_ELFNOTE_GUEST_OS")] public const uint GuestOs = 0x6;
    [CName("XEN_ELFNOTE_GUEST_VERSION")] public const uint GuestVersion = 0x7;
    [CName("XEN_ELFNOTE_LOADER")] public const uint Loader = 0x8;
    [CName("XEN_ELFNOTE_PAE_MODE")] public const uint PaeMode = 0x9;
    [CName("XEN_ELFNOTE_FEATURES")] public const uint Features = 0xa;
    [CName("XEN_ELFNOTE_BSD_SYMTAB")] public const uint BsdSymtab = 0xb;
    [CName("XEN_ELFNOTE_HV_START_LOW")] public const uint HvStartLow = 0xc;
    [CName("XEN_ELFNOTE_L1_MFN_VALID")] public const uint L1MfnValid = 0xd;
    [CName("XEN_ELFNOTE_SUSPEND_CANCEL")] public const uint SuspendCancel = 0xe;
    [CName("XEN_ELFNOTE_INIT_P2M")] public const uint InitP2m = 0xf;
    [CName("XEN_ELFNOTE_MOD_START_PFN")] public const uint ModStartPfn = 0x10;
    [CName("XEN_ELFNOTE_SUPPORTED_FEATURES")] public const uint SupportedFeatures = 0x11;
    [CName("XEN_ELFNOTE_MAX")] public const uint Max = 0x12;
    [CName("XEN_ELFNOTE_PHYS32_ENTRY")] public const uint Phys32Entry = 0x12;
    [CName("XEN_ELFNOTE_CRASH_INFO")] public const uint CrashInfo = 0x1000001;
    [CName("XEN_ELFNOTE_CRASH_REGS")] public const uint CrashRegs = 0x1000002;
    [CName("XEN_ELFNOTE_DUMPCORE_NONE")] public const uint DumpcoreNone = 0x2000000;
    [CName("XEN_ELFNOTE_DUMPCORE_HEADER")] public const uint DumpcoreHeader = 0x2000001;
    [CName("XEN_ELFNOTE_DUMPCORE_XEN_VERSION")] public const uint DumpcoreXenVersion = 0x2000002;
    [CName("XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION")] public const uint DumpcoreFormatVersion = 0x2000003;
}
