using Iced.Intel;
using Ryokan.Isa.Tests.Harness;
using Ryokan.X86;

namespace Ryokan.Isa.Tests.Generate;

/// <summary>Gathers and scatters.</summary>
public sealed partial class Synthesizer
{
    /// <summary>
    /// Index and mask registers are loaded from tables so that every lane is mapped, but for a few operands under an
    /// opmask: see <see cref="ChooseMiddle"/>.
    /// </summary>
    private bool TrySetVectorMemory(ref Instruction instruction, int operand, OpCodeOperandKind kind)
    {
        (Register first, ulong table) = kind switch
        {
            OpCodeOperandKind.mem_vsib32x => (Register.XMM0, MemoryImages.Index32),
            OpCodeOperandKind.mem_vsib32y => (Register.YMM0, MemoryImages.Index32),
            OpCodeOperandKind.mem_vsib32z => (Register.ZMM0, MemoryImages.Index32),
            OpCodeOperandKind.mem_vsib64x => (Register.XMM0, MemoryImages.Index64),
            OpCodeOperandKind.mem_vsib64y => (Register.YMM0, MemoryImages.Index64),
            OpCodeOperandKind.mem_vsib64z => (Register.ZMM0, MemoryImages.Index64),
            _ => (Register.None, 0UL),
        };
        Gpr? picked = _demand.Base ?? PickFree();
        if (first == Register.None || picked is not Gpr b || !IsFree(b))
        {
            return false;
        }
        Register index = first + _rng.Below(VectorRegisters);
        VectorLoadBefore(index, table + (ulong)_rng.Below(24) * 8);
        long displacement = PickDisplacement();
        ulong middle = ChooseMiddle();
        LoadBefore(b, Dirty(middle - (ulong)displacement));
        instruction.SetOpKind(operand, OpKind.Memory);
        instruction.MemoryBase = AddressRegister(b);
        instruction.MemoryIndex = index;
        instruction.MemoryIndexScale = 1 << _rng.Below(4);
        SetDisplacement(ref instruction, displacement);
        _target = middle;
        return true;
    }

    /// <summary>
    /// What the indices count from: in the middle of the data, or where some or all of the elements are not mapped, under
    /// a mask of few elements or none.
    /// </summary>
    private ulong ChooseMiddle()
    {
        if (!WantsEdge)
        {
            return AddressLayout.Data + 2 * PageSize + (ulong)_rng.Below(2 * PageSize);
        }
        if (_rng.Percent(40))
        {
            _maskValue = 0;
            return AddressLayout.ReadOnly + 3 * PageSize;
        }
        _maskValue = _rng.Percent(50) ? 1UL << _rng.Below(16) : _rng.Next() & _rng.Next();
        return _rng.Percent(50) ? AddressLayout.Data : AddressLayout.ReadOnly + (StoresOperand ? 0ul : PageSize);
    }

    private void VectorLoadBefore(Register register, ulong address)
    {
        Code code = register switch
        {
            >= Register.ZMM0 => Code.EVEX_Vmovdqu64_zmm_k1z_zmmm512,
            > Register.YMM15 => Code.EVEX_Vmovdqu64_ymm_k1z_ymmm256,
            >= Register.YMM0 => Code.VEX_Vmovdqu_ymm_ymmm256,
            > Register.XMM15 => Code.EVEX_Vmovdqu64_xmm_k1z_xmmm128,
            _ => Code.VEX_Vmovdqu_xmm_xmmm128,
        };
        var memory = new MemoryOperand(Register.None, Register.None, 1, (long)address, Is64 ? 8 : 4);
        Before(Instruction.Create(code, register, memory));
    }
}
