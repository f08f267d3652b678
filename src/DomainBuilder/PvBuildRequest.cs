namespace Ryokan.DomainBuilder;

/// <summary>What a PV domain is to be built from.</summary>
public sealed record PvBuildRequest
{
    /// <summary>Path of a bzImage, an ELF file or a gzipped ELF file.</summary>
    public required string Kernel { get; init; }

    /// <summary>Path of the initramfs, or null for none.</summary>
    public string? Ramdisk { get; init; }

    public string CommandLine { get; init; } = "";

    /// <summary>Pages that the guest starts with: pfn 0 .. Pages-1.</summary>
    public required ulong Pages { get; init; }

    /// <summary>mfn of the shared_info frame.</summary>
    public required ulong SharedInfoMfn { get; init; }

    /// <summary>Event channel ports at the guest's end.</summary>
    public uint StorePort { get; init; } = 1;
    public uint ConsolePort { get; init; } = 2;
}

/// <summary>Where a built PV domain starts and what of it the monitor needs to know.</summary>
/// <param name="EntryVa">rip of vCPU 0</param>
/// <param name="StackVa">rsp of vCPU 0: the end of the boot stack</param>
/// <param name="StartInfoVa">rsi of vCPU 0</param>
/// <param name="RootMfn">the L4 table</param>
/// <param name="StoreMfn">the xenstore ring</param>
/// <param name="ConsoleMfn">the console ring</param>
/// <param name="StartInfoMfn">the start_info page</param>
/// <param name="PageTables">the first page tables, the L4 first</param>
/// <param name="P2MPageTables">those that map the p2m list; empty when it lies in the linear mapping</param>
public sealed record PvImage(
    ulong EntryVa, ulong StackVa, ulong StartInfoVa, ulong RootMfn, ulong StoreMfn, ulong ConsoleMfn,
    ulong StartInfoMfn, Boot.FrameRange PageTables, Boot.FrameRange P2MPageTables);
