using System;
using System.Numerics;
using Iced.Intel;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>
/// What the generator knows of the general registers at the place where it adds the next instruction, so
/// that it can address memory through a register without loading it first.
/// </summary>
public sealed class KnownRegisters
{
    private readonly ulong?[] _values = new ulong?[16];
    private readonly InstructionInfoFactory _infos = new();

    /// <summary>Registers that nothing may write for now: bit n is <see cref="Gpr"/> n.</summary>
    public ushort Reserved { get; set; }

    public ulong? this[Gpr register]
    {
        get => _values[(int)register];
        set => _values[(int)register] = value;
    }

    public bool IsReserved(Gpr register) => (Reserved >> (int)register & 1) != 0;

    public ulong?[] Snapshot() => (ulong?[])_values.Clone();

    public void Restore(ulong?[] snapshot) => snapshot.CopyTo(_values, 0);

    /// <summary>Keeps what holds on this path and on another one that meets it here.</summary>
    public void Meet(ulong?[] other)
    {
        for (int i = 0; i < 16; i++)
        {
            _values[i] = _values[i] == other[i] ? _values[i] : null;
        }
    }

    public void ForgetAllButReserved()
    {
        for (int i = 0; i < 16; i++)
        {
            _values[i] = IsReserved((Gpr)i) ? _values[i] : null;
        }
    }

    /// <summary>General registers that an instruction may write.</summary>
    public ushort WrittenBy(in Instruction instruction)
    {
        ushort written = 0;
        foreach (UsedRegister used in _infos.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage).GetUsedRegisters())
        {
            bool writes = used.Access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite
                or OpAccess.ReadCondWrite;
            if (writes && used.Register.IsGPR())
            {
                written |= (ushort)(1 << used.Register.GetFullRegister() - Register.RAX);
            }
        }
        return written;
    }

    /// <summary>Whether an instruction writes the memory it names.</summary>
    public bool WritesMemory(in Instruction instruction)
    {
        foreach (UsedMemory used in _infos.GetInfo(instruction).GetUsedMemory())
        {
            if (used.Access is OpAccess.Write or OpAccess.CondWrite or OpAccess.ReadWrite or OpAccess.ReadCondWrite)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Takes the effect of an added instruction into account.</summary>
    public void Note(in Instruction instruction)
    {
        ulong? rsp = this[Gpr.Rsp];
        ushort written = WrittenBy(instruction);
        for (int i = 0; i < 16; i++)
        {
            _values[i] = (written >> i & 1) != 0 ? null : _values[i];
        }
        bool plainStack = instruction.Mnemonic is Mnemonic.Push or Mnemonic.Pop or Mnemonic.Pushf or Mnemonic.Pushfd
            or Mnemonic.Pushfq or Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq or Mnemonic.Call or Mnemonic.Ret;
        bool popsRsp = instruction.Mnemonic == Mnemonic.Pop && instruction.Op0Kind == OpKind.Register
            && instruction.Op0Register.GetFullRegister() == Register.RSP;
        if (plainStack && !popsRsp)
        {
            this[Gpr.Rsp] = rsp + (ulong)(long)instruction.StackPointerIncrement;
        }
        if (instruction.Code is Code.Mov_r64_imm64)
        {
            _values[instruction.Op0Register - Register.RAX] = instruction.Immediate64;
        }
        else if (instruction.Code is Code.Mov_r32_imm32)
        {
            _values[instruction.Op0Register - Register.EAX] = instruction.Immediate32;
        }
    }
}
