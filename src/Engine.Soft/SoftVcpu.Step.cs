using System;
using System.Numerics;
using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using Ryokan.Engine.Soft.Slow;
using Ryokan.Engine.Soft.Translate;
using Ryokan.X86;

namespace Ryokan.Engine.Soft;

/// <summary>Instructions run one by one on a copy of their operand.</summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>
    /// Runs one instruction on a copy of its operand: for operands that cross a page and writes to pages
    /// that hold translated code. Not atomic with respect to other vCPUs.
    /// </summary>
    private bool Step(TranslationBlock block, int index, ulong va, ulong page, ref VcpuExit exit)
    {
        Counters.Steps++;
        Site site = block.Sites[index];
        bool kernel = _head->Registers.KernelMode != 0;
        Debug.Require(site.Size <= VcpuArea.BounceBytes - 64, "operand larger than the bounce buffer");
        byte* bounce = _area + VcpuArea.Bounce + (va & 63);
        var copy = new Span<byte>(bounce, site.Size);
        ulong selected = site.Masked ? SelectedBytes(site) : 0;
        if (!(site.Masked ? ReadSelected(site, va, copy, selected, kernel, out exit)
            : (!site.Write || CanWrite(va, site.Size, kernel, out exit)) && ReadVirtual(va, copy, kernel, out exit)))
        {
            return true;
        }
        byte* code = _engine.GetStep(this, block, index);
        int generation = _engine.Generation;
        *(byte**)(_area + VcpuArea.Spill1) = bounce;
        ulong resumeFlags = _head->Registers.Rflags;
        Enter(code, out uint word);
        if (word == NotEntered)
        {
            _head->Registers.Rflags = resumeFlags;
            return false; // rip is at the instruction: it runs again after the request
        }
        if (word == Routines.FaultMark)
        {
            exit = FaultOf(_head->FaultSignal_, _head->FaultVector_);
            return true;
        }
        Debug.Require(word == Routines.StepMark, "a bounce copy left by another way");
        _head->Registers.Rip = Wrap(page, site.Next);
        if (site.Write && !(site.Masked ? WriteSelected(va, copy, selected, kernel, out exit) : WriteVirtual(va, copy, kernel, out exit)))
        {
            return true;
        }
        if (IsStepping)
        {
            exit = VcpuExit.Fault(ExceptionVector.Debug);
            return true;
        }
        if (block.Valid && generation == _engine.Generation)
        {
            Continue(block.Code + site.After);
        }
        return false;
    }

    /// <summary>Bytes of the operand that the instruction at rip accesses, one bit each.</summary>
    private ulong SelectedBytes(in Site site)
    {
        bool isKnown = SlowInstructions.TryDecode(this, _head->Registers.Rip, out Instruction i);
        Debug.Require(isKnown && i.HasOpMask, "an opmask");
        return MaskedOperands.BytesOf(i, site.Size, *(ulong*)(_area + VcpuArea.Opmask(i.OpMask - Register.K0)));
    }

    /// <summary>The next run of set bits, which are cleared; false when there is none.</summary>
    private static bool NextRun(ref ulong bytes, out int start, out int length)
    {
        start = BitOperations.TrailingZeroCount(bytes);
        length = bytes == 0 ? 0 : BitOperations.TrailingZeroCount(~(bytes >> start));
        length = Math.Min(length, 64 - start);
        bytes = length >= 64 ? 0 : bytes & ~(((1UL << length) - 1) << start);
        return length > 0;
    }

    private bool ReadSelected(in Site site, ulong va, Span<byte> copy, ulong selected, bool kernel, out VcpuExit fault)
    {
        fault = default;
        copy.Clear();
        while (NextRun(ref selected, out int start, out int length))
        {
            ulong at = va + (ulong)start;
            if ((site.Write && !CanWrite(at, length, kernel, out fault)) || !ReadVirtual(at, copy.Slice(start, length), kernel, out fault))
            {
                return false;
            }
        }
        return true;
    }

    private bool WriteSelected(ulong va, ReadOnlySpan<byte> copy, ulong selected, bool kernel, out VcpuExit fault)
    {
        fault = default;
        while (NextRun(ref selected, out int start, out int length))
        {
            if (!WriteVirtual(va + (ulong)start, copy.Slice(start, length), kernel, out fault))
            {
                return false;
            }
        }
        return true;
    }
}
