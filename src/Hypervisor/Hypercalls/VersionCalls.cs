using System;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>xen_version (version.h) and console_io (xen.h).</summary>
internal static class VersionCalls
{
    /// <summary>Bits 5, 6, 7, 13 and 17 (see <see cref="XenFeature"/>); Linux will not run without 5 and 7.</summary>
    private const uint Features =
        1u << XenFeature.MmuPtUpdatePreserveAd | 1u << XenFeature.HighmemAssist | 1u << XenFeature.GnttabMapAvailBits
        | 1u << XenFeature.MemoryOpVnodeSupported | 1u << XenFeature.DirectMapped;

    private const int ConsoleChunk = 512;

    /// <summary>Bytes taken by one console_io; the rest of a longer write is dropped.</summary>
    private const int ConsoleLimit = 16384;

    public static long XenVersion(Vcpu v, ulong command, ulong argument)
    {
        switch (command)
        {
            case XenVersionOp.Version:
                return XenIdentity.Version;
            case XenVersionOp.Extraversion:
                return CopyText(v, argument, XenIdentity.ExtraVersion, XenVersionLength.Extraversion);
            case XenVersionOp.CompileInfo:
                return v.TryCopyOut(argument, new XenCompileInfo()) ? 0 : -Errno.EFAULT;
            case XenVersionOp.Capabilities:
                return CopyText(v, argument, XenIdentity.Capabilities, XenVersionLength.Capabilities);
            case XenVersionOp.Changeset:
                return CopyText(v, argument, XenIdentity.ChangeSet, XenVersionLength.Changeset);
            case XenVersionOp.PlatformParameters:
                return v.TryCopyOut(argument, VirtualLayout.HypervisorVirtStart) ? 0 : -Errno.EFAULT;
            case XenVersionOp.GetFeatures:
                return GetFeatures(v, argument);
            case XenVersionOp.Pagesize:
                return GuestMemory.GuestFrames.PageSize;
            case XenVersionOp.GuestHandle:
                return GuestHandle(v, argument);
            case XenVersionOp.Commandline:
                return CopyText(v, argument, ""u8, XenVersionLength.Commandline);
            case XenVersionOp.BuildId:
                return -Errno.ENODATA;
            default:
                return -Errno.ENOSYS;
        }
    }

    private static long GetFeatures(Vcpu v, ulong argument)
    {
        if (!v.TryCopyIn(argument, out XenFeatureInfo info))
        {
            return -Errno.EFAULT;
        }
        bool extendedCr3 = (v.Domain.VmAssist >> VmAssistType.PaeExtendedCr3 & 1) != 0;
        info.Submap = info.SubmapIdx != 0 ? 0
            : Features | (extendedCr3 ? 1u << XenFeature.PaePgdirAbove4gb : 0);
        return v.TryCopyOut(argument, in info) ? 0 : -Errno.EFAULT;
    }

    private static long GuestHandle(Vcpu v, ulong argument)
    {
        Span<byte> uuid = stackalloc byte[XenVersionLength.GuestHandle];
        v.Domain.Uuid.TryWriteBytes(uuid, bigEndian: true, out _);
        return v.Cpu.TryWrite(argument, uuid, out _) ? 0 : -Errno.EFAULT;
    }

    /// <summary>A string in a field of fixed length, the rest zero.</summary>
    private static long CopyText(Vcpu v, ulong argument, ReadOnlySpan<byte> text, int length)
    {
        Span<byte> field = stackalloc byte[XenVersionLength.Capabilities];
        field.Clear();
        text.CopyTo(field);
        return v.Cpu.TryWrite(argument, field[..length], out _) ? 0 : -Errno.EFAULT;
    }

    /// <summary>console_io(0 write, n, text): early messages, into the domain's sink. Reads give nothing.</summary>
    public static long ConsoleIo(Vcpu v, ulong command, ulong count, ulong text)
    {
        if (command == Xen.Abi.ConsoleIo.Read)
        {
            return 0;
        }
        if (command != Xen.Abi.ConsoleIo.Write)
        {
            return -Errno.ENOSYS;
        }
        Span<byte> chunk = stackalloc byte[ConsoleChunk];
        int left = (int)Math.Min(count, ConsoleLimit);
        while (left > 0)
        {
            Span<byte> part = chunk[..Math.Min(left, ConsoleChunk)];
            if (!v.Cpu.TryRead(text, part, out _))
            {
                return -Errno.EFAULT;
            }
            v.Domain.Options.EarlyConsole?.Write(part);
            text += (ulong)part.Length;
            left -= part.Length;
        }
        return 0;
    }
}
