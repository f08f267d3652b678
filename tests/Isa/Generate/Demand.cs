using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>How a memory operand names its address.</summary>
public enum AddressForm
{
    Any, Base, BaseIndex, SameBaseIndex, Index, Absolute, RipRelative,
}

/// <summary>Where a memory operand lies.</summary>
public enum Place
{
    Any, Aligned, PageCrossing, PageStart, PageEnd, ReadOnly, Unmapped, NonCanonical,
}

/// <summary>What a test wants of the next instruction; everything left open is chosen at random.</summary>
public readonly record struct Demand
{
    public Demand()
    {
    }

    /// <summary>True: memory where the form allows it; false: registers; null: any.</summary>
    public bool? Memory { get; init; }

    /// <summary>Operand whose register is <see cref="RegisterNumber"/>; -1 for none.</summary>
    public int RegisterOperand { get; init; } = -1;

    /// <summary>0-15; for byte registers 0-19 in Iced's order (al.. ah.. spl.. r8b..).</summary>
    public int RegisterNumber { get; init; }

    public AddressForm Form { get; init; }

    public Gpr? Base { get; init; }

    public Gpr? Index { get; init; }

    public Register Segment { get; init; }

    /// <summary>67h.</summary>
    public bool? ShortAddress { get; init; }

    public Place Place { get; init; }

    public bool Lock { get; init; }

    /// <summary>REP/REPE (true on a string instruction), REPNE or neither.</summary>
    public Mnemonic Repeat { get; init; }
}
