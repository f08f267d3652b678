using System;
using System.Collections.Generic;
using System.Linq;
using Iced.Intel;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>An instruction, a label, or raw bytes, before it has an address.</summary>
public sealed class BlobItem
{
    public Instruction Instruction;

    /// <summary>Label that a branch goes to or an immediate holds the address of; -1 when there is none.</summary>
    public int Target = -1;

    /// <summary>This item is a label of that number and has no bytes; -1 for the rest.</summary>
    public int Label = -1;

    /// <summary>Bytes as they stand instead of <see cref="Instruction"/> (which stays for analysis, when set).</summary>
    public byte[]? Raw;

    /// <summary>Where else execution may go after it (returns, indirect branches).</summary>
    public int[] IndirectTargets = [];

    /// <summary>Execution never goes on after it (jmp, ret, ud2).</summary>
    public bool Stops;

    /// <summary>A flag consumer, terminator and the like must stay when a failing case is made smaller.</summary>
    public bool Pinned;

    public byte[] Prefix = [];

    /// <summary>
    /// Bits for the parts of a VEX or EVEX prefix that the instruction ignores (W, L or L'L); with VEX, bit 2 is its 3-byte
    /// form.
    /// </summary>
    public byte VexVariation;

    public bool IsLabel => Label >= 0;
}

/// <summary>Where an item came to lie.</summary>
public readonly record struct PlacedItem(BlobItem Item, ulong Ip, int Length);

/// <summary>A sequence under construction: items in order, and parts that lie out of line after its end.</summary>
public sealed class Blob
{
    private readonly List<List<BlobItem>> _outOfLine = [];
    private List<BlobItem> _current;

    public List<BlobItem> Items { get; private set; } = [];

    public int Bitness { get; }

    public int LabelCount { get; private set; }

    public Blob(int bitness)
    {
        Bitness = bitness;
        _current = Items;
    }

    /// <summary>A copy with other items; labels stay valid.</summary>
    public Blob With(IEnumerable<BlobItem> items) => new(Bitness) { Items = [.. items], LabelCount = LabelCount };

    public int NewLabel() => LabelCount++;

    public void Mark(int label) => _current.Add(new BlobItem { Label = label });

    public BlobItem Add(in Instruction instruction, int target = -1)
    {
        var item = new BlobItem { Instruction = instruction, Target = target };
        _current.Add(item);
        return item;
    }

    /// <summary>What <paramref name="part"/> adds goes behind the end of the sequence.</summary>
    public void OutOfLine(Action part)
    {
        List<BlobItem> before = _current;
        _current = [];
        _outOfLine.Add(_current);
        part();
        _current = before;
    }

    /// <summary>Ends the straight part with ud2 and appends what lies out of line.</summary>
    public void Finish()
    {
        BlobItem end = Add(Instruction.Create(Code.Ud2));
        end.Stops = true;
        end.Pinned = true;
        Items.AddRange(_outOfLine.SelectMany(part => part));
        _outOfLine.Clear();
    }
}

/// <summary>Gives a blob addresses and bytes. Lengths do not depend on addresses, so two passes do.</summary>
public sealed class BlobAssembler
{
    private sealed class Writer : CodeWriter
    {
        public readonly List<byte> Bytes = [];

        public override void WriteByte(byte value) => Bytes.Add(value);
    }

    private readonly Writer _writer = new();
    private readonly Encoder _encoder64, _encoder32;

    public BlobAssembler()
    {
        _encoder64 = Encoder.Create(64, _writer);
        _encoder32 = Encoder.Create(32, _writer);
    }

    /// <summary>Whether an instruction has an encoding at all; its length or 0.</summary>
    public int Measure(BlobItem item, ulong ip, int bitness)
    {
        _writer.Bytes.Clear();
        return Encode(item, ip, bitness, ip) ? _writer.Bytes.Count : 0;
    }

    /// <exception cref="InvalidOperationException">an item has no encoding, or a short branch is too far</exception>
    public byte[] Assemble(Blob blob, ulong start, List<PlacedItem> placed)
    {
        placed.Clear();
        ulong[] labels = new ulong[blob.LabelCount];
        ulong ip = start;
        foreach (BlobItem item in blob.Items)
        {
            int length = item.IsLabel ? 0 : Measure(item, ip, blob.Bitness);
            if (item.IsLabel)
            {
                labels[item.Label] = ip;
            }
            else if (length == 0)
            {
                throw new InvalidOperationException($"no encoding: {item.Instruction} ({item.Instruction.Code})");
            }
            placed.Add(new PlacedItem(item, ip, length));
            ip += (ulong)length;
        }
        _writer.Bytes.Clear();
        foreach (PlacedItem p in placed.Where(p => !p.Item.IsLabel))
        {
            ulong target = p.Item.Target >= 0 ? labels[p.Item.Target] : 0;
            int before = _writer.Bytes.Count;
            if (!Encode(p.Item, p.Ip, blob.Bitness, target) || _writer.Bytes.Count - before != p.Length)
            {
                throw new InvalidOperationException($"does not reach its target: {p.Item.Instruction.Code}");
            }
        }
        return [.. _writer.Bytes];
    }

    private bool Encode(BlobItem item, ulong ip, int bitness, ulong target)
    {
        if (item.Raw != null)
        {
            _writer.Bytes.AddRange(item.Raw);
            return true;
        }
        Encoder encoder = bitness == 64 ? _encoder64 : _encoder32;
        encoder.VEX_WIG = (uint)item.VexVariation & 1;
        encoder.VEX_LIG = (uint)(item.VexVariation >> 1) & 1;
        encoder.EVEX_WIG = (uint)item.VexVariation & 1;
        encoder.EVEX_LIG = (uint)(item.VexVariation >> 1) & 3;
        encoder.PreventVEX2 = (item.VexVariation & 4) != 0;
        if (item.Target >= 0)
        {
            Aim(ref item.Instruction, bitness, target);
        }
        _writer.Bytes.AddRange(item.Prefix);
        return encoder.TryEncode(item.Instruction, ip + (ulong)item.Prefix.Length, out _, out _);
    }

    private static void Aim(ref Instruction instruction, int bitness, ulong target)
    {
        switch (instruction.Op0Kind)
        {
            case OpKind.NearBranch64:
                instruction.NearBranch64 = target;
                break;
            case OpKind.NearBranch32:
                instruction.NearBranch32 = (uint)target;
                break;
            case OpKind.Register when instruction.Op1Kind == OpKind.Memory:
                instruction.MemoryDisplacement64 = target;
                break;
            case OpKind.Register when bitness == 64:
                instruction.Immediate64 = target;
                break;
            case OpKind.Register:
                instruction.Immediate32 = (uint)target;
                break;
            default:
                throw new InvalidOperationException($"{instruction.Code} cannot hold a label");
        }
    }
}
