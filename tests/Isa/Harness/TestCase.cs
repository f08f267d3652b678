using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>One instruction at its place, as the generator meant it; data between instructions has none.</summary>
/// <param name="UndefinedFlags">arithmetic flags without a defined value when this instruction starts</param>
/// <param name="LiveFlags">flags that this or a later instruction may read before they are overwritten</param>
public readonly record struct PlacedInstruction(
    ulong Ip, int Length, Instruction Instruction, Rflags UndefinedFlags, Rflags LiveFlags);

/// <summary>A sequence with all that it starts from. Immutable once made; both sides load the same one.</summary>
public sealed class TestCase
{
    private readonly SortedDictionary<int, byte[]> _contents = [];

    /// <summary>What makes it again: family, seed, ...</summary>
    public required string Name { get; init; }

    public required AddressLayout Layout { get; init; }

    public required CpuState Initial;

    /// <summary>Guest kernel mode; the host side is the same for both.</summary>
    public bool KernelMode { get; init; }

    public IReadOnlyList<PlacedInstruction> Instructions { get; init; } = [];

    /// <summary>Initial bytes of one frame; a frame that was never set is zero.</summary>
    public ReadOnlySpan<byte> FrameContent(int frame) =>
        _contents.TryGetValue(frame, out byte[]? bytes) ? bytes : s_zero;

    private static readonly byte[] s_zero = new byte[AddressLayout.PageSize];

    /// <summary>Uses a whole frame image without copying it; nobody may change it afterwards.</summary>
    public void ShareFrame(int frame, byte[] image) => _contents[frame] = image;

    /// <summary>Puts bytes at a virtual address, page by page.</summary>
    public void Put(ulong va, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            if (!Layout.TryLocate(va, out int frame, out int offset))
            {
                throw new ArgumentOutOfRangeException(nameof(va), $"{va:x} is not mapped in the test's layout");
            }
            int n = Math.Min(bytes.Length, AddressLayout.PageSize - offset);
            byte[] own = [.. FrameContent(frame)];
            bytes[..n].CopyTo(own.AsSpan(offset));
            _contents[frame] = own;
            bytes = bytes[n..];
            va += (ulong)n;
        }
    }

    /// <summary>The instruction at an address, when there is one.</summary>
    public Instruction? InstructionAt(ulong rip)
    {
        foreach (PlacedInstruction placed in Instructions)
        {
            if (placed.Ip == rip)
            {
                return placed.Instruction;
            }
        }
        return null;
    }

    /// <summary>Flags whose value counts for nothing when execution stands at this address.</summary>
    /// <param name="exact">
    /// true: only those that the architecture leaves open; false: also those that will be overwritten before
    /// anything reads them, which a translator need not keep when an instruction faults
    /// </param>
    public Rflags IgnoredFlagsAt(ulong rip, bool exact)
    {
        Rflags anywhere = 0;
        foreach (PlacedInstruction placed in Instructions)
        {
            Rflags dead = exact ? 0 : Rflags.Arithmetic & ~placed.LiveFlags;
            if (rip - placed.Ip < (ulong)placed.Length)
            {
                // Inside one stands who faults in the second half of a wait form such as 9b dd /7.
                return placed.UndefinedFlags | dead;
            }
            anywhere |= placed.UndefinedFlags;
        }
        return anywhere;
    }
}
