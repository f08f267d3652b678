using System;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>How a sequence ended.</summary>
public enum EndKind
{
    /// <summary>A fault or trap; a sequence that runs through ends with the #UD of its last ud2.</summary>
    Exception,

    /// <summary>It did not end by itself in the time allowed.</summary>
    Timeout,

    /// <summary>Something that has no counterpart on the other side; see <see cref="RunResult.Detail"/>.</summary>
    Other,
}

/// <summary>The end of one run; memory is read from the runner.</summary>
public sealed class RunResult
{
    public EndKind Kind;
    public ExceptionVector Vector;
    public uint ErrorCode;

    /// <summary>Faulting address of a page fault.</summary>
    public ulong Cr2;
    public string Detail = "";
    public CpuState State;
}

/// <summary>A place that executes sequences: the host CPU or an engine.</summary>
public interface ICaseRunner : IDisposable
{
    /// <summary>False when flags that nothing will read may have any value at a fault.</summary>
    bool KeepsDeadFlags { get; }

    /// <summary>Puts the case's memory in place: every frame of its layout gets its initial bytes.</summary>
    void Load(TestCase test);

    /// <summary>Runs from a state; memory stays as the previous run left it.</summary>
    RunResult Run(in CpuState start);

    /// <summary>The 4096 bytes of a test frame as they are now.</summary>
    Span<byte> Frame(int frame);
}
