using System;
using Ryokan.GuestMemory;
using Ryokan.Hypervisor.Memory;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.X86;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>mmuext_op (xen.h): pins, roots, flushes, LDT, page clear and copy.</summary>
internal static class MmuExtCalls
{
    private const ulong OperationBytes = 24;

    /// <summary>mmuext_op(ops, n, done*, domain): stops at the first error; done counts what succeeded.</summary>
    public static long MmuextOp(Vcpu v, ulong operations, ulong count, ulong doneOut, ulong domain)
    {
        long result = MmuCalls.CheckDomain(v, (ushort)domain);
        uint done = 0;
        uint n = (uint)(count & ~MmuCalls.Preempted);
        for (; result == 0 && done < n && !v.StopRequested; operations += OperationBytes)
        {
            if (!v.TryCopyIn(operations, out MmuextOp operation))
            {
                result = -Errno.EFAULT;
                break;
            }
            result = Apply(v, in operation);
            done += result == 0 ? 1u : 0;
        }
        return MmuCalls.WriteDone(v, doneOut, done, result);
    }

    private static long Apply(Vcpu v, in MmuextOp op)
    {
        switch (op.Cmd)
        {
            case MmuextCommand.PinL1Table:
                return v.Domain.PageTypes.Pin(op.Mfn, PageType.L1);
            case MmuextCommand.PinL2Table:
                return v.Domain.PageTypes.Pin(op.Mfn, PageType.L2);
            case MmuextCommand.PinL3Table:
                return v.Domain.PageTypes.Pin(op.Mfn, PageType.L3);
            case MmuextCommand.PinL4Table:
                return v.Domain.PageTypes.Pin(op.Mfn, PageType.L4);
            case MmuextCommand.UnpinTable:
                return v.Domain.PageTypes.Unpin(op.Mfn);
            case MmuextCommand.NewBaseptr:
                return v.SetKernelRoot(op.Mfn);
            case MmuextCommand.NewUserBaseptr:
                return v.SetUserRoot(op.Mfn);
            case MmuextCommand.SetLdt:
                return v.SetLdt(op.LinearAddr, op.NrEnts);
            case MmuextCommand.FlushCache or MmuextCommand.FlushCacheGlobal:
                return 0;
            case MmuextCommand.ClearPage or MmuextCommand.CopyPage:
                return FillPage(v, in op);
            case MmuextCommand.MarkSuper or MmuextCommand.UnmarkSuper:
                return -Errno.EOPNOTSUPP;
            default:
                return Flush(v, in op);
        }
    }

    private static long Flush(Vcpu v, in MmuextOp op)
    {
        ulong mask = v.Domain.AllVcpus;
        switch (op.Cmd)
        {
            case MmuextCommand.TlbFlushLocal:
                v.Cpu.FlushTlb();
                return 0;
            case MmuextCommand.InvlpgLocal:
                v.Cpu.FlushPage(op.LinearAddr);
                return 0;
            case MmuextCommand.TlbFlushMulti or MmuextCommand.InvlpgMulti:
                if (!MmuCalls.TryReadVcpuMask(v, op.VcpuMask, out mask))
                {
                    return -Errno.EFAULT;
                }
                break;
            case MmuextCommand.TlbFlushAll or MmuextCommand.InvlpgAll:
                break;
            default:
                return -Errno.ENOSYS;
        }
        bool page = op.Cmd is MmuextCommand.InvlpgMulti or MmuextCommand.InvlpgAll;
        MmuCalls.Flush(v, mask, page ? op.LinearAddr : null);
        return 0;
    }

    private static long FillPage(Vcpu v, in MmuextOp op)
    {
        long target = WritableFrame(v, op.Mfn);
        long source = op.Cmd == MmuextCommand.CopyPage ? v.Frames.IndexOf(op.SrcMfn) : 0;
        if (target < 0 || source < 0)
        {
            return -Errno.EINVAL;
        }
        Span<byte> page = v.Frames.SpanAt(target);
        if (op.Cmd == MmuextCommand.CopyPage)
        {
            v.Frames.SpanAt(source).CopyTo(page);
        }
        else
        {
            page.Clear();
        }
        v.Frames.NoteWritten(target, 0, GuestFrames.PageSize);
        return 0;
    }

    /// <summary>A populated RAM frame that is no page table or descriptor page; else -1.</summary>
    private static long WritableFrame(Vcpu v, ulong mfn)
    {
        long index = mfn < v.Frames.RamFrames ? v.Frames.IndexOf(mfn) : -1;
        return index >= 0 && !v.Frames.Has(index, FrameFlags.Absent)
            && v.Domain.PageTypes.TypeOf(index) == PageType.None ? index : -1;
    }
}
