using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// A case under construction: random initial state, a blob, and a synthesizer that adds to it. The same
/// seed makes the same case.
/// </summary>
public sealed class CaseBuilder
{
    private static readonly BlobAssembler s_assembler = new();

    private readonly string _name;
    private readonly AddressLayout _layout;
    private readonly int _imageVariant;
    private readonly bool _kernelMode;
    private CpuState _initial;

    public Rng Rng { get; }

    public Blob Blob { get; }

    public Synthesizer Synthesizer { get; }

    public ref CpuState Initial => ref _initial;

    public CaseBuilder(string name, Rng rng, int bitness, AddressLayout? layout = null, int faultPercent = 2)
    {
        (_name, Rng) = (name, rng);
        _layout = layout ?? AddressLayout.Standard;
        _imageVariant = rng.Below(MemoryImages.Variants);
        _kernelMode = bitness == 64 && rng.Percent(40);
        Blob = new Blob(bitness);
        ulong start = AddressLayout.Code + (ulong)PickStart(rng);
        _initial = InitialState.Make(rng, bitness, start);
        Synthesizer = new Synthesizer(rng, Blob, s_assembler, start, _initial.FsBase, _initial.GsBase)
        {
            FaultPercent = faultPercent,
        };
        for (int i = 0; i < 16; i++)
        {
            Synthesizer.Known[(Gpr)i] = _initial.Gpr[i];
        }
    }

    /// <summary>Anywhere in the first pages, often so that the code crosses into the next one.</summary>
    private static int PickStart(Rng rng)
    {
        int page = rng.Below(AddressLayout.CodePages - 3) * AddressLayout.PageSize;
        return rng.Percent(25)
            ? page + AddressLayout.PageSize - rng.Between(1, 120)
            : page + rng.Below(AddressLayout.PageSize - 1200);
    }

    /// <summary>Ends the blob and assembles it.</summary>
    public GeneratedCase Finish()
    {
        Blob.Finish();
        RepairFlags(Blob);
        return new GeneratedCase(Blob, Make(Blob));
    }

    /// <summary>Gives flags a value where an instruction reads one that has none.</summary>
    private static void RepairFlags(Blob blob)
    {
        for (int i = 0; i < 200; i++)
        {
            int bad = new FlagFlow(blob.Items).FirstBadReader;
            if (bad < 0)
            {
                return;
            }
            Instruction define = Instruction.Create(Code.Cmp_r32_rm32, Register.ECX, Register.EDX);
            blob.Items.Insert(bad, new BlobItem { Instruction = define });
        }
        throw new InvalidOperationException("the flags of a generated sequence cannot be repaired");
    }

    /// <summary>The case for this or a reduced blob; null when it cannot be assembled or reads undefined flags.</summary>
    public TestCase? TryMake(Blob blob)
    {
        if (new FlagFlow(blob.Items).FirstBadReader >= 0)
        {
            return null;
        }
        try
        {
            return Make(blob);
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private TestCase Make(Blob blob)
    {
        var placed = new List<PlacedItem>();
        byte[] code = s_assembler.Assemble(blob, _initial.Rip, placed);
        var flow = new FlagFlow(blob.Items);
        var instructions = new List<PlacedInstruction>();
        for (int i = 0; i < placed.Count; i++)
        {
            PlacedItem p = placed[i];
            if (!p.Item.IsLabel)
            {
                instructions.Add(new PlacedInstruction(
                    p.Ip, p.Length, p.Item.Instruction, flow.Before[i], flow.Live[i]));
            }
        }
        var test = new TestCase
        {
            Name = _name, Layout = _layout, Initial = _initial, KernelMode = _kernelMode, Instructions = instructions,
        };
        MemoryImages.Apply(test, _imageVariant);
        test.Put(_initial.Rip, code);
        return test;
    }

    public static string Number(ulong n) => n.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A case with the blob that it was made from, so that it can be made smaller.</summary>
public sealed record GeneratedCase(Blob Blob, TestCase Test);

/// <summary>Random initial register states.</summary>
public static class InitialState
{
    public static CpuState Make(Rng rng, int bitness, ulong rip)
    {
        CpuState state = CpuState.At(rip);
        state.Compatibility = bitness == 64 ? 0u : 1u;
        ulong mask = bitness == 64 ? ulong.MaxValue : uint.MaxValue;
        for (int i = 0; i < (bitness == 64 ? 16 : 8); i++)
        {
            state.Gpr[i] = GeneralRegister(rng, bitness) & mask;
        }
        state[Gpr.Rsp] = AddressLayout.Stack + 2 * AddressLayout.PageSize + (ulong)rng.Between(-64, 64) * 8;
        const ulong Flags = (ulong)(X86.Rflags.Arithmetic | X86.Rflags.ID | X86.Rflags.NT);
        state.Rflags |= rng.Next() & Flags | (rng.Percent(15) ? (ulong)X86.Rflags.DF : 0);
        if (bitness == 64)
        {
            state.FsBase = SegmentBase(rng);
            state.GsBase = SegmentBase(rng);
        }
        else
        {
            (state.FsBase, state.GsBase) = ((uint)rng.Below(0x10000), (uint)rng.Below(0x1000) << 12);
        }
        Vectors(rng, ref state);
        return state;
    }

    private static ulong GeneralRegister(Rng rng, int bitness)
    {
        const int DataBytes = 6 * AddressLayout.PageSize;
        return rng.Below(5) switch
        {
            0 => AddressLayout.Data + (ulong)rng.Below(DataBytes),
            1 when bitness == 64 => AddressLayout.HighData + (ulong)rng.Below(DataBytes / 2),
            2 => AddressLayout.Data + (ulong)(rng.Below(DataBytes) & ~31),
            _ => rng.Integer(),
        };
    }

    private static ulong SegmentBase(Rng rng) => rng.Below(4) switch
    {
        0 => 0,
        1 => (ulong)rng.Below(0x10000),
        2 => (ulong)rng.Below(0x1000) << 12,
        _ => AddressLayout.HighData + (ulong)(long)rng.Between(-0x100000, 0x100000),
    };

    private static void Vectors(Rng rng, ref CpuState state)
    {
        Span<byte> line = stackalloc byte[64];
        for (int i = 0; i < 16; i++)
        {
            MemoryImages.FillLine(rng, line);
            line[..16].CopyTo(state.Xmm(i));
            line.Slice(16, 16).CopyTo(state.YmmHigh(i));
            if (XsaveArea.HasAvx512)
            {
                line[32..].CopyTo(state.ZmmHigh(i));
                MemoryImages.FillLine(rng, state.HighZmm(16 + i));
            }
        }
        for (int i = 0; i < 8 && XsaveArea.HasAvx512; i++)
        {
            state.Opmasks[i] = MemoryImages.Opmask(rng);
        }
        for (int i = 0; i < 8; i++)
        {
            MemoryImages.Extended(rng, state.St(i));
        }
        state.Mxcsr = MemoryImages.MxcsrValue(rng);
        state.Fcw = rng.Percent(95) ? (ushort)(0x7f | rng.Below(16) << 8) : MemoryImages.ControlWord(rng);
        state.Fsw = (ushort)(rng.Below(8) << 11 | (rng.Percent(20) ? (int)rng.Next() & 0x4700 : 0));
        state.Vectors[XsaveArea.AbridgedFtw] = rng.Percent(30) ? (byte)0 : (byte)rng.Next();
    }
}
