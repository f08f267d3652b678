using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.Isa.Tests.Generate;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Harness;

/// <summary>A case written by hand with Iced's assembler.</summary>
public sealed class HandCase(string name, AddressLayout? layout = null)
{
    private readonly List<(ulong Va, byte[] Bytes)> _parts = [];
    private ulong? _start;
    private CpuState _initial = MakeInitial();

    public ref CpuState Initial => ref _initial;

    public ulong this[Gpr register]
    {
        get => _initial[register];
        set => _initial[register] = value;
    }

    /// <summary>Known register values, an aligned stack pointer in the middle of the stack.</summary>
    private static CpuState MakeInitial()
    {
        CpuState state = InitialState.Make(new Rng(4711), 64, AddressLayout.Code);
        for (int i = 0; i < 16; i++)
        {
            state.Gpr[i] = 0x0101_0101_0101_0101 * (ulong)i;
        }
        state[Gpr.Rsp] = AddressLayout.Stack + 2 * AddressLayout.PageSize;
        state.Rflags = (ulong)(Rflags.Reserved1 | Rflags.IF);
        state.FsBase = state.GsBase = 0;
        return state;
    }

    /// <summary>Assembles code at an address; execution starts at the first piece.</summary>
    public HandCase Code(Action<Assembler> write, ulong va = AddressLayout.Code, int bitness = 64) =>
        Bytes(MachineCode.Assemble(write, va, bitness), va, code: true);

    public HandCase Bytes(byte[] bytes, ulong va, bool code = false)
    {
        _parts.Add((va, bytes));
        if (code && _start == null)
        {
            _start = va;
        }
        return this;
    }

    public TestCase Build(bool kernelMode)
    {
        ulong start = _start ?? throw new InvalidOperationException("a case without code");
        _initial.Rip = start;
        var test = new TestCase
        {
            Name = name, Layout = layout ?? AddressLayout.Standard, Initial = _initial, KernelMode = kernelMode,
            Instructions = Decode(),
        };
        MemoryImages.Apply(test, 3);
        foreach ((ulong va, byte[] bytes) in _parts)
        {
            test.Put(va, bytes);
        }
        return test;
    }

    /// <summary>The first piece as straight code, for the report and for undefined flags.</summary>
    private List<PlacedInstruction> Decode()
    {
        var placed = new List<PlacedInstruction>();
        (ulong va, byte[] bytes) = _parts.Find(p => p.Va == _start);
        var decoder = Decoder.Create(_initial.Compatibility != 0 ? 32 : 64, bytes, va);
        Rflags undefined = 0;
        while (decoder.IP < va + (ulong)bytes.Length)
        {
            Instruction instruction = decoder.Decode();
            Rflags live = Rflags.Arithmetic & ~FlagFlow.OverwrittenBy(instruction);
            placed.Add(new PlacedInstruction(instruction.IP, instruction.Length, instruction, undefined, live));
            undefined = FlagFlow.After(instruction, undefined);
        }
        return placed;
    }
}
