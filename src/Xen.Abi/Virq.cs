namespace Ryokan.Xen.Abi;

/// <summary>Virtual interrupt sources of EVTCHNOP_bind_virq (xen.h).</summary>
public static class Virq
{
    [CName("VIRQ_TIMER")] public const uint Timer = 0;
    [CName("VIRQ_DEBUG")] public const uint Debug = 1;
    [CName("VIRQ_CONSOLE")] public const uint Console = 2;
    [CName("VIRQ_DOM_EXC")] public const uint DomExc = 3;
    [CName("VIRQ_TBUF")] public const uint Tbuf = 4;
    [CName("VIRQ_DEBUGGER")] public const uint Debugger = 6;
    [CName("VIRQ_XENOPROF")] public const uint Xenoprof = 7;
    [CName("VIRQ_CON_RING")] public const uint ConRing = 8;
    [CName("VIRQ_PCPU_STATE")] public const uint PcpuState = 9;
    [CName("VIRQ_MEM_EVENT")] public const uint MemEvent = 10;
    [CName("VIRQ_ARGO")] public const uint Argo = 11;
    [CName("VIRQ_ENOMEM")] public const uint Enomem = 12;
    [CName("VIRQ_XENPMU")] public const uint Xenpmu = 13;
    [CName("VIRQ_ARCH_0")] public const uint Arch0 = 16;
    [CName("VIRQ_ARCH_1")] public const uint Arch1 = 17;
    [CName("VIRQ_ARCH_2")] public const uint Arch2 = 18;
    [CName("VIRQ_ARCH_3")] public const uint Arch3 = 19;
    [CName("VIRQ_ARCH_4")] public const uint Arch4 = 20;
    [CName("VIRQ_ARCH_5")] public const uint Arch5 = 21;
    [CName("VIRQ_ARCH_6")] public const uint Arch6 = 22;
    [CName("VIRQ_ARCH_7")] public const uint Arch7 = 23;
    [CName("NR_VIRQS")] public const uint Count = 24;
}
