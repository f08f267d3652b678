namespace Ryokan.X86;

/// <summary>General-purpose registers by their number in instruction encodings.</summary>
public enum Gpr : byte
{
    Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15,
}

/// <summary>Segment registers by their number in instruction encodings.</summary>
public enum SegmentRegister : byte
{
    Es, Cs, Ss, Ds, Fs, Gs,
}
