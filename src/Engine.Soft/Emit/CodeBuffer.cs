using System;
using static Ryokan.Engine.Soft.Emit.HostRegisters;

namespace Ryokan.Engine.Soft.Emit;

/// <summary>A memory operand: base and index are host register numbers or -1.</summary>
internal readonly record struct Mem(int Base, int Index, int Scale, int Displacement)
{
    /// <summary>A slot of the vCPU block.</summary>
    public static Mem Area(int offset) => new(Rsp, -1, 1, offset);

    /// <summary>A slot of a table in the vCPU block, indexed by a register.</summary>
    public static Mem Area(int offset, int index, int scale) => new(Rsp, index, scale, offset);

    public static Mem At(int register, int displacement = 0) => new(register, -1, 1, displacement);
}

/// <summary>Condition codes as in Jcc encodings.</summary>
internal enum Condition : byte
{
    Overflow, NotOverflow, Below, AboveOrEqual, Equal, NotEqual, BelowOrEqual, Above,
    Sign, NotSign, Parity, NotParity, Less, GreaterOrEqual, LessOrEqual, Greater,
}

/// <summary>
/// Writes the fixed instruction shapes of the translator into a buffer that it owns (the translator's
/// scratch memory; <see cref="Limit"/> is checked by the caller per guest instruction).
/// </summary>
internal sealed unsafe class CodeBuffer
{
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(Capacity, pinned: true);
    private readonly byte* _start;

    public const int Capacity = 64 << 10;
    public const int Limit = Capacity - 2048;

    public int Length { get; private set; }

    public CodeBuffer()
    {
        fixed (byte* p = _buffer)
        {
            _start = p;
        }
    }

    public ReadOnlySpan<byte> Bytes => _buffer.AsSpan(0, Length);

    public void Reset() => Length = 0;

    public void Byte(int value) => _start[Length++] = (byte)value;

    public void Int32(int value)
    {
        *(int*)(_start + Length) = value;
        Length += 4;
    }

    public void Int64(long value)
    {
        *(long*)(_start + Length) = value;
        Length += 8;
    }

    public void Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(new Span<byte>(_start + Length, bytes.Length));
        Length += bytes.Length;
    }

    public int ReadInt32(int at) => *(int*)(_start + at);

    public void PatchInt32(int at, int value) => *(int*)(_start + at) = value;

    public void PatchByte(int at, int value) => _start[at] = (byte)value;

    /// <summary>Points the rel32 field at <paramref name="field"/> to <paramref name="target"/>.</summary>
    public void PatchRelative(int field, int target) => PatchInt32(field, target - (field + 4));

    private void Rex(bool wide, int reg, int index, int @base)
    {
        int rex = (wide ? 8 : 0) | (reg > 7 ? 4 : 0) | (index > 7 ? 2 : 0) | (@base > 7 ? 1 : 0);
        if (rex != 0)
        {
            Byte(0x40 | rex);
        }
    }

    private void ModRm(int reg, in Mem m)
    {
        int r = (reg & 7) << 3;
        if (m.Base < 0)
        {
            Byte(r | 4);
            int scaled = m.Index < 0 ? 0x20 : Log2(m.Scale) << 6 | (m.Index & 7) << 3;
            Byte(scaled | 5);
            Int32(m.Displacement);
            return;
        }
        int mod = m.Displacement == 0 && (m.Base & 7) != 5 ? 0 : (sbyte)m.Displacement == m.Displacement ? 1 : 2;
        if (m.Index >= 0 || (m.Base & 7) == 4)
        {
            Byte(mod << 6 | r | 4);
            Byte(m.Index < 0 ? 0x20 | (m.Base & 7) : Log2(m.Scale) << 6 | (m.Index & 7) << 3 | (m.Base & 7));
        }
        else
        {
            Byte(mod << 6 | r | (m.Base & 7));
        }
        if (mod == 1)
        {
            Byte(m.Displacement);
        }
        else if (mod == 2)
        {
            Int32(m.Displacement);
        }
    }

    private static int Log2(int scale) => scale switch { 1 => 0, 2 => 1, 4 => 2, _ => 3 };

    /// <summary>One-byte opcode with a register and a memory operand.</summary>
    public void Op(bool wide, int opcode, int reg, in Mem m)
    {
        Rex(wide, reg, m.Index, m.Base);
        Byte(opcode);
        ModRm(reg, m);
    }

    /// <summary>One-byte opcode with two registers (reg field, r/m field).</summary>
    public void Op(bool wide, int opcode, int reg, int rm)
    {
        Rex(wide, reg, -1, rm);
        Byte(opcode);
        Byte(0xc0 | (reg & 7) << 3 | (rm & 7));
    }

    public void Load64(int dst, in Mem m) => Op(true, 0x8b, dst, m);

    public void Load32(int dst, in Mem m) => Op(false, 0x8b, dst, m);

    public void Store64(in Mem m, int src) => Op(true, 0x89, src, m);

    public void Store32(in Mem m, int src) => Op(false, 0x89, src, m);

    /// <summary>MOV r16, m16: the register's other bits stay.</summary>
    public void Load16(int dst, in Mem m)
    {
        Byte(0x66);
        Load32(dst, m);
    }

    public void Store16(in Mem m, int src)
    {
        Byte(0x66);
        Store32(m, src);
    }

    public void Lea64(int dst, in Mem m) => Op(true, 0x8d, dst, m);

    public void Lea32(int dst, in Mem m) => Op(false, 0x8d, dst, m);

    public void Mov64(int dst, int src)
    {
        if (dst != src)
        {
            Op(true, 0x89, src, dst);
        }
    }

    public void Mov32(int dst, int src) => Op(false, 0x89, src, dst);

    public void MovImm(int dst, ulong value)
    {
        if (value <= uint.MaxValue)
        {
            Rex(false, 0, -1, dst);
            Byte(0xb8 | (dst & 7));
            Int32((int)value);
        }
        else if ((long)value == (int)value)
        {
            Rex(true, 0, -1, dst);
            Byte(0xc7);
            Byte(0xc0 | (dst & 7));
            Int32((int)value);
        }
        else
        {
            Rex(true, 0, -1, dst);
            Byte(0xb8 | (dst & 7));
            Int64((long)value);
        }
    }

    /// <summary>MOVZX r32, m16.</summary>
    public void MovZeroExtend16(int dst, in Mem m)
    {
        Rex(false, dst, m.Index, m.Base);
        Byte(0x0f);
        Byte(0xb7);
        ModRm(dst, m);
    }

    /// <summary>NOT r64: touches no flag.</summary>
    public void Not64(int reg) => Op(true, 0xf7, 2, reg);

    /// <summary>RORX r32, r32, count: touches no flag.</summary>
    public void Rorx32(int dst, int src, int count)
    {
        Byte(0xc4);
        Byte((dst > 7 ? 0 : 0x80) | 0x40 | (src > 7 ? 0 : 0x20) | 3);
        Byte(0x7b);
        Byte(0xf0);
        Byte(0xc0 | (dst & 7) << 3 | (src & 7));
        Byte(count);
    }

    public void And32(int reg, int mask)
    {
        Op(false, 0x81, 4, reg);
        Int32(mask);
    }

    public void And32(int reg, in Mem m) => Op(false, 0x23, reg, m);

    public void Add64(int reg, in Mem m) => Op(true, 0x03, reg, m);

    public void Sub64(int reg, in Mem m) => Op(true, 0x2b, reg, m);

    public void CmpImm64(int reg, int value)
    {
        Op(true, 0x81, 7, reg);
        Int32(value);
    }

    public void CmpMem32Imm8(in Mem m, int value)
    {
        Op(false, 0x83, 7, m);
        Byte(value);
    }

    /// <summary>VEX-encoded three-operand BMI2 instruction of map 0F38 with a memory operand without index registers above 7.</summary>
    private void Bmi2(bool wide, int pp, int opcode, int dst, int vvvv, in Mem m)
    {
        Byte(0xc4);
        Byte((dst > 7 ? 0 : 0x80) | (m.Index > 7 ? 0 : 0x40) | (m.Base > 7 ? 0 : 0x20) | 2);
        Byte((wide ? 0x80 : 0) | (~vvvv & 15) << 3 | pp);
        Byte(opcode);
        ModRm(dst, m);
    }

    /// <summary>PEXT dst, src, [mask]: touches no flag.</summary>
    public void Pext(int dst, int src, in Mem mask) => Bmi2(true, 2, 0xf5, dst, src, mask);

    /// <summary>The same with 32 bits of each.</summary>
    public void Pext32(int dst, int src, in Mem mask) => Bmi2(false, 2, 0xf5, dst, src, mask);

    /// <summary>PDEP dst, src, [mask], 32 bits of each: touches no flag.</summary>
    public void Pdep32(int dst, int src, in Mem mask) => Bmi2(false, 3, 0xf5, dst, src, mask);

    /// <summary>PEXT dst, src, mask (registers).</summary>
    public void PextRegister(int dst, int src, int mask) => BitsRegister(2, dst, src, mask);

    private void BitsRegister(int prefix, int dst, int src, int mask)
    {
        Byte(0xc4);
        Byte((dst > 7 ? 0 : 0x80) | 0x40 | (mask > 7 ? 0 : 0x20) | 2);
        Byte(0x80 | (~src & 15) << 3 | prefix);
        Byte(0xf5);
        Byte(0xc0 | (dst & 7) << 3 | (mask & 7));
    }

    /// <summary>PDEP dst, src, mask (registers).</summary>
    public void PdepRegister(int dst, int src, int mask) => BitsRegister(3, dst, src, mask);

    /// <summary>MOVZX r32, r8 of AL, CL, DL or BL.</summary>
    public void MovZeroExtend8(int dst, int src) => Raw([0x0f, 0xb6, (byte)(0xc0 | dst << 3 | src)]);

    /// <summary>SARX dst, src, count (registers): touches no flag.</summary>
    public void Sarx(bool wide, int dst, int src, int count)
    {
        Byte(0xc4);
        Byte((dst > 7 ? 0 : 0x80) | 0x40 | (src > 7 ? 0 : 0x20) | 2);
        Byte((wide ? 0x80 : 0) | (~count & 15) << 3 | 2);
        Byte(0xf7);
        Byte(0xc0 | (dst & 7) << 3 | (src & 7));
    }

    /// <summary>MOVSX r64, r32 / r64, r16.</summary>
    public void MovSignExtend(int dst, int src, int bytes)
    {
        Rex(true, dst, -1, src);
        if (bytes == 4)
        {
            Byte(0x63);
        }
        else
        {
            Byte(0x0f);
            Byte(0xbf);
        }
        Byte(0xc0 | (dst & 7) << 3 | (src & 7));
    }

    /// <summary>Jcc rel32; returns the position of the rel32 field.</summary>
    public int Jcc(Condition condition)
    {
        Byte(0x0f);
        Byte(0x80 | (int)condition);
        Int32(0);
        return Length - 4;
    }

    /// <summary>Jcc rel32 whose field can be patched while other vCPUs run it.</summary>
    public int PatchableJcc(Condition condition)
    {
        Align(2);
        return Jcc(condition);
    }

    /// <summary>LEA dst, [base + index + displacement] whose displacement can be patched while other vCPUs run it; returns its position.</summary>
    public int PatchableLea(int dst, int @base, int index, int displacement)
    {
        Align(4);
        Rex(true, dst, index, @base);
        Byte(0x8d);
        Byte(0x80 | (dst & 7) << 3 | 4);
        Byte((index & 7) << 3 | (@base & 7));
        Int32(displacement);
        return Length - 4;
    }

    /// <summary>JMP rel32; returns the position of the rel32 field.</summary>
    public int Jmp()
    {
        Byte(0xe9);
        Int32(0);
        return Length - 4;
    }

    public int PatchableJmp()
    {
        Align(1);
        return Jmp();
    }

    /// <summary>
    /// Bytes by which a 4-byte field has to be moved so that it lies within 8 aligned bytes: it can then be changed while other processors
    /// fetch it (AMD64 manual 2, 7.3.2; Intel manual 3, 8.1.1).
    /// </summary>
    private static int Padding(int field) => (field & 7) <= 4 ? 0 : 8 - (field & 7);

    /// <summary>Pads with NOPs until a field <paramref name="ahead"/> bytes on can be patched.</summary>
    public void Align(int ahead) => Nops(Padding(Length + ahead));

    private void Nops(int count)
    {
        switch (count)
        {
            case 1: Byte(0x90); break;
            case 2: Byte(0x66); Byte(0x90); break;
            case 3: Byte(0x0f); Byte(0x1f); Byte(0x00); break;
        }
    }

    /// <summary>
    /// Moves an instruction that was written last, from <paramref name="start"/> on, so that the patchable conditional jump behind it needs
    /// no padding: processors run the pair as one when nothing lies between them.
    /// </summary>
    public void AlignPair(int start)
    {
        int padding = Padding(Length + 2), bytes = Length - start;
        if (padding == 0 || bytes == 0)
        {
            return;
        }
        Buffer.MemoryCopy(_start + start, _start + start + padding, Capacity - start - padding, bytes);
        Length = start;
        Nops(padding);
        Length += bytes;
    }

    /// <summary>JRCXZ rel8 forward; returns the position of the rel8 field for <see cref="PatchShort"/>.</summary>
    public int Jrcxz()
    {
        Byte(0xe3);
        Byte(0);
        return Length - 1;
    }

    public int JmpShort()
    {
        Byte(0xeb);
        Byte(0);
        return Length - 1;
    }

    public int JccShort(Condition condition)
    {
        Byte(0x70 | (int)condition);
        Byte(0);
        return Length - 1;
    }

    /// <summary>Makes a short jump go to here.</summary>
    public void PatchShort(int field) => _start[field] = (byte)(Length - (field + 1));

    public void JmpMem(in Mem m) => Op(false, 0xff, 4, m);

    /// <summary>PUSH imm32, sign-extended; returns the position of the imm32 field.</summary>
    public int PushImm32(int value)
    {
        Byte(0x68);
        Int32(value);
        return Length - 4;
    }

    /// <summary>CALL rel32; returns the position of the rel32 field.</summary>
    public int Call()
    {
        Byte(0xe8);
        Int32(0);
        return Length - 4;
    }
}
