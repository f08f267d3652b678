using System;
using System.Collections.Generic;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// Turns an instruction form and a demand into instructions at the end of a blob: the instruction itself,
/// before it what makes its operands sensible (pointers, counts, dividends), all without touching flags.
/// </summary>
public sealed partial class Synthesizer
{
    private const int Attempts = 24;

    private readonly Rng _rng;
    private readonly Blob _blob;
    private readonly BlobAssembler _assembler;
    private readonly List<BlobItem> _before = [];
    private readonly List<BlobItem> _after = [];
    private readonly ulong _fsBase, _gsBase, _codeStart;
    private Demand _demand;
    private OpCodeInfo _opCode = Code.Nopd.ToOpCode();

    /// <summary>General registers that get a value of their own before the instruction.</summary>
    private ushort _pinned;

    /// <summary>Address of the memory operand of the instruction being made, when it has one.</summary>
    private ulong? _target;

    /// <summary>67h: 32-bit addresses in 64-bit code.</summary>
    private bool _shortAddress;

    public KnownRegisters Known { get; } = new();

    /// <summary>How often, in percent, an operand may be chosen so that it faults.</summary>
    public int FaultPercent { get; init; } = 2;

    public Synthesizer(Rng rng, Blob blob, BlobAssembler assembler, ulong codeStart, ulong fsBase, ulong gsBase)
    {
        (_rng, _blob, _assembler) = (rng, blob, assembler);
        (_codeStart, _fsBase, _gsBase) = (codeStart, fsBase, gsBase);
    }

    private bool Is64 => _blob.Bitness == 64;

    private int RegisterCount => Is64 ? 16 : 8;

    /// <summary>Adds the instruction; false when no encoding meets the demand or it would write a reserved register.</summary>
    public bool TryAdd(CatalogEntry entry, Demand demand)
    {
        _demand = demand;
        _opCode = entry.OpCode;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            _before.Clear();
            _after.Clear();
            _target = null;
            _shortAddress = Is64 && (demand.ShortAddress ?? _rng.Percent(6));
            ChooseDecoration();
            _pinned = PinnedBy(_opCode.Mnemonic);
            Instruction instruction = default;
            instruction.Code = entry.Code;
            if (TryBuild(ref instruction) && IsAcceptable(instruction))
            {
                var item = new BlobItem { Instruction = instruction, VexVariation = VexVariation() };
                if (_assembler.Measure(item, _codeStart, _blob.Bitness) > 0)
                {
                    Commit(item);
                    return true;
                }
            }
        }
        return false;
    }

    private byte VexVariation() =>
        _opCode.Encoding is EncodingKind.VEX or EncodingKind.EVEX && _rng.Percent(30) ? (byte)_rng.Below(8) : (byte)0;

    private bool TryBuild(ref Instruction instruction)
    {
        for (int i = 0; i < _opCode.OpCount; i++)
        {
            if (!TrySetOperand(ref instruction, i, _opCode.GetOpKind(i)))
            {
                return false;
            }
        }
        if (!HasDistinctVectors(instruction))
        {
            return false;
        }
        SetPrefixes(ref instruction);
        return Decorate(ref instruction) && Prepare(ref instruction);
    }

    /// <summary>
    /// Gathers raise #UD unless destination, index and vector mask differ; so do some products of complex numbers unless
    /// the destination differs from the sources.
    /// </summary>
    private bool HasDistinctVectors(in Instruction instruction)
    {
        int a = Number(instruction.Op0Register), b = Number(instruction.MemoryIndex), c = Number(instruction.Op2Register);
        if (_opCode.RequiresUniqueDestRegNum && (a == c || a == Number(instruction.Op1Register)))
        {
            return false;
        }
        bool hasVectorMask = instruction.OpCount > 2;
        return !_opCode.RequiresUniqueRegNums || a != b && (!hasVectorMask || b != c && a != c);

        static int Number(Register r) => r.IsVectorRegister() ? (r - Register.XMM0) % 32 : -1;
    }

    private void SetPrefixes(ref Instruction instruction)
    {
        bool memoryDestination = _target != null && instruction.Op0Kind == OpKind.Memory;
        if (_opCode.CanUseLockPrefix && memoryDestination && (_demand.Lock || _rng.Percent(15)))
        {
            instruction.HasLockPrefix = true;
        }
        Mnemonic repeat = _demand.Repeat != Mnemonic.INVALID ? _demand.Repeat : _rng.Below(3) switch
        {
            0 => Mnemonic.INVALID, 1 => Mnemonic.Cmpsb, _ => Mnemonic.Scasb,
        };
        instruction.HasRepPrefix = _opCode.CanUseRepPrefix && repeat == Mnemonic.Cmpsb;
        instruction.HasRepnePrefix = _opCode.CanUseRepnePrefix && repeat == Mnemonic.Scasb;
    }

    private bool IsAcceptable(in Instruction instruction)
    {
        if ((Known.WrittenBy(instruction) & Known.Reserved) != 0)
        {
            return false;
        }
        bool readOnlyPlace = _target is ulong at && !IsWritable(at);
        bool isMeant = _demand.Place != Place.Any || _maskValue != null;
        return !readOnlyPlace || isMeant || !Known.WritesMemory(instruction);
    }

    private void Commit(BlobItem item)
    {
        foreach (BlobItem before in _before)
        {
            Append(before);
        }
        Append(item);
        foreach (BlobItem after in _after)
        {
            Append(after);
        }
    }

    private void Append(BlobItem item)
    {
        BlobItem added = _blob.Add(item.Instruction, item.Target);
        added.VexVariation = item.VexVariation;
        Known.Note(item.Instruction);
    }

    /// <summary>Adds an instruction as it is.</summary>
    public BlobItem Add(in Instruction instruction, int target = -1)
    {
        BlobItem item = _blob.Add(instruction, target);
        Known.Note(instruction);
        return item;
    }

    /// <summary>Loads a register without touching flags.</summary>
    public void LoadNow(Gpr register, ulong value) => Add(Load(register, value));

    private Instruction Load(Gpr register, ulong value) => Is64
        ? Instruction.Create(Code.Mov_r64_imm64, Register.RAX + (int)register, value)
        : Instruction.Create(Code.Mov_r32_imm32, Register.EAX + (int)register, (uint)value);

    private void LoadBefore(Gpr register, ulong value) => Before(Load(register, value));

    private void Before(in Instruction instruction) => _before.Add(new BlobItem { Instruction = instruction });

    private void After(in Instruction instruction) => _after.Add(new BlobItem { Instruction = instruction });
}
