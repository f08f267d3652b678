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

    /// <summary>Of a masked operand: where a part of it can be accessed, or nothing, with a mask that goes with it.</summary>
    Edge,
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

    /// <summary>0-15, 0-31 with EVEX; for byte registers 0-19 in Iced's order (al.. ah.. spl.. r8b..).</summary>
    public int RegisterNumber { get; init; }

    public AddressForm Form { get; init; }

    public Gpr? Base { get; init; }

    public Gpr? Index { get; init; }

    public Register Segment { get; init; }

    /// <summary>67h.</summary>
    public bool? ShortAddress { get; init; }

    public Place Place { get; init; }

    public bool Lock { get; init; }

    /// <summary>Number of the opmask register, 0 for none; null: any.</summary>
    public int? OpMask { get; init; }

    /// <summary>{z}, beside an opmask.</summary>
    public bool? Zeroing { get; init; }

    /// <summary>True: a memory operand is one element for all of the vector, where the form allows it.</summary>
    public bool? Broadcast { get; init; }

    /// <summary>True: embedded rounding or {sae}, where the form allows it.</summary>
    public bool? Rounding { get; init; }

    /// <summary>REP/REPE (true on a string instruction), REPNE or neither.</summary>
    public Mnemonic Repeat { get; init; }
}
