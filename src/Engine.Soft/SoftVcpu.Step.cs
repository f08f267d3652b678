using System;
using System.Numerics;
using Iced.Intel;
using Ryokan.Engine.Soft.Emit;
using Ryokan.Engine.Soft.Slow;
using Ryokan.Engine.Soft.Translate;
using Ryokan.GuestMemory;
using Ryokan.X86;

namespace Ryokan.Engine.Soft;

/// <summary>Instructions run one by one, most of them on a copy of their operand.</summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>
    /// Runs one instruction whose operand crosses a page, on a copy, or which writes to a page that holds translated code: a locked one is
    /// atomic there, but not where it crosses.
    /// </summary>
    private bool Step(TranslationBlock block, int index, ulong va, ulong page, ref VcpuExit exit)
    {
        Counters.Steps++;
        Site site = block.Sites[index];
        bool kernel = _head->Registers.KernelMode != 0;
        if (site.Write && !site.Masked && (va & 0xfff) + site.Size <= GuestFrames.PageSize)
        {
            byte* host = WritePointer(va, kernel, out exit, out bool isCode);
            if (host == null || !RunStep(block, index, host, page, ref exit, out bool isDone))
            {
                return true;
            }
            if (isDone && isCode)
            {
                NoteCodeWrite(host, site.Size);
            }
            return isDone && GoOn(block, site, ref exit);
        }
        Debug.Require(site.Size <= VcpuArea.BounceBytes - 64, "operand larger than the bounce buffer");
        byte* bounce = _area + VcpuArea.Bounce + (va & 63);
        var copy = new Span<byte>(bounce, site.Size);
        ulong selected = site.Masked ? SelectedBytes(site) : 0;
        if (!(site.Masked ? ReadSelected(site, va, copy, selected, kernel, out exit)
            : (!site.Write || CanWrite(va, site.Size, kernel, out exit)) && ReadVirtual(va, copy, kernel, out exit)))
        {
            return true;
        }
        if (!RunStep(block, index, bounce, page, ref exit, out bool isRun))
        {
            return true;
        }
        if (isRun && site.Write
            && !(site.Masked ? WriteSelected(va, copy, selected, kernel, out exit) : WriteVirtual(va, copy, kernel, out exit)))
        {
            return true;
        }
        return isRun && GoOn(block, site, ref exit);
    }

    /// <summary>
    /// The instruction with its operand at a host address; rip is behind it then. Not done: a request came first, and it runs again
    /// after that. False with the exception that it raised.
    /// </summary>
    private bool RunStep(TranslationBlock block, int index, byte* operand, ulong page, ref VcpuExit exit, out bool isDone)
    {
        byte* code = _engine.GetStep(this, block, index);
        *(byte**)(_area + VcpuArea.Spill1) = operand;
        ulong resumeFlags = _head->Registers.Rflags;
        Enter(code, out uint word);
        isDone = word == Routines.StepMark;
        if (word == NotEntered)
        {
            _head->Registers.Rflags = resumeFlags;
            return true;
        }
        if (word == Routines.FaultMark)
        {
            exit = FaultOf(_head->FaultSignal_, _head->FaultVector_);
            return false;
        }
        Debug.Require(isDone, "a step left by another way");
        _head->Registers.Rip = Wrap(page, block.Sites[index].Next);
        return true;
    }

    /// <summary>Behind an instruction that was stepped; true with the trap that follows it.</summary>
    private bool GoOn(TranslationBlock block, in Site site, ref VcpuExit exit)
    {
        if (IsStepping)
        {
            exit = VcpuExit.Fault(ExceptionVector.Debug);
            return true;
        }
        if (block.Valid && _resumeGeneration == _engine.Generation)
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
