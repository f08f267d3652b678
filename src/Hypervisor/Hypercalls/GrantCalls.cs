using System.Runtime.CompilerServices;
using Ryokan.Hypervisor.Grants;
using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>
/// grant_table_op (grant_table.h): argument copying; the meaning is in <see cref="GrantTable"/>. Requests
/// carry their own status; the call fails only when one cannot be read or written.
/// </summary>
internal static class GrantCalls
{
    /// <summary>Requests of one call; Linux batches far fewer.</summary>
    private const ulong MaxRequests = 4096;

    public static long GrantTableOp(Vcpu v, ulong command, ulong requests, ulong count)
    {
        if ((uint)count > MaxRequests)
        {
            return -Errno.EINVAL;
        }
        ulong size = RequestSize(command);
        if (size == 0)
        {
            return -Errno.ENOSYS;
        }
        for (uint i = 0; i < (uint)count; i++, requests += size)
        {
            long result = One(v, command, requests);
            if (result != 0)
            {
                return result;
            }
        }
        return 0;
    }

    private static ulong RequestSize(ulong command) => (ulong)(command switch
    {
        Xen.Abi.GrantTableOp.SetupTable => Unsafe.SizeOf<GnttabSetupTable>(),
        Xen.Abi.GrantTableOp.QuerySize => Unsafe.SizeOf<GnttabQuerySize>(),
        Xen.Abi.GrantTableOp.SetVersion => Unsafe.SizeOf<GnttabSetVersion>(),
        Xen.Abi.GrantTableOp.GetVersion => Unsafe.SizeOf<GnttabGetVersion>(),
        Xen.Abi.GrantTableOp.GetStatusFrames => Unsafe.SizeOf<GnttabGetStatusFrames>(),
        Xen.Abi.GrantTableOp.Copy => Unsafe.SizeOf<GnttabCopy>(),
        Xen.Abi.GrantTableOp.MapGrantRef => Unsafe.SizeOf<GnttabMapGrantRef>(),
        Xen.Abi.GrantTableOp.UnmapGrantRef => Unsafe.SizeOf<GnttabUnmapGrantRef>(),
        _ => 0,
    });

    private static long One(Vcpu v, ulong command, ulong request)
    {
        switch (command)
        {
            case Xen.Abi.GrantTableOp.SetupTable:
                return SetupTable(v, request);
            case Xen.Abi.GrantTableOp.QuerySize:
                return QuerySize(v, request);
            case Xen.Abi.GrantTableOp.SetVersion:
                return SetVersion(v, request);
            case Xen.Abi.GrantTableOp.GetVersion:
                return GetVersion(v, request);
            case Xen.Abi.GrantTableOp.GetStatusFrames:
                return GetStatusFrames(v, request);
            case Xen.Abi.GrantTableOp.Copy:
                return Copy(v, request);
            case Xen.Abi.GrantTableOp.MapGrantRef:
                return MapGrantRef(v, request);
            default:
                return UnmapGrantRef(v, request);
        }
    }

    private static long Write<T>(Vcpu v, ulong request, in T op)
        where T : unmanaged => v.TryCopyOut(request, in op) ? 0 : -Errno.EFAULT;

    private static long SetupTable(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabSetupTable op))
        {
            return -Errno.EFAULT;
        }
        GrantTable table = v.Domain.Grants;
        op.Status = table.SetupTable(op.Dom, op.NrFrames);
        for (uint i = 0; op.Status == GrantStatus.Okay && i < op.NrFrames; i++)
        {
            if (table.FrameMfn(i) is not { } mfn || !v.TryCopyOut(op.FrameList + i * sizeof(ulong), mfn))
            {
                return -Errno.EFAULT;
            }
        }
        return Write(v, request, in op);
    }

    private static long QuerySize(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabQuerySize op))
        {
            return -Errno.EFAULT;
        }
        op.Status = v.Domain.Grants.QuerySize(op.Dom, out op.NrFrames, out op.MaxNrFrames);
        return Write(v, request, in op);
    }

    private static long SetVersion(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabSetVersion op))
        {
            return -Errno.EFAULT;
        }
        long result = GrantTable.SetVersion(ref op.Version);
        return !v.TryCopyOut(request, in op) ? -Errno.EFAULT : result;
    }

    private static long GetVersion(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabGetVersion op))
        {
            return -Errno.EFAULT;
        }
        short status = v.Domain.Grants.GetVersion(op.Dom, out op.Version);
        return status == GrantStatus.Okay ? Write(v, request, in op) : -Errno.EPERM;
    }

    private static long GetStatusFrames(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabGetStatusFrames op))
        {
            return -Errno.EFAULT;
        }
        op.Status = v.Domain.Grants.GetStatusFrames(op.Dom, op.NrFrames);
        return Write(v, request, in op);
    }

    private static long Copy(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabCopy op))
        {
            return -Errno.EFAULT;
        }
        op.Status = v.Domain.Grants.Copy(in op);
        return Write(v, request, in op);
    }

    private static long MapGrantRef(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabMapGrantRef op))
        {
            return -Errno.EFAULT;
        }
        op.Status = v.Domain.Grants.MapForGuest(op.Dom);
        return Write(v, request, in op);
    }

    private static long UnmapGrantRef(Vcpu v, ulong request)
    {
        if (!v.TryCopyIn(request, out GnttabUnmapGrantRef op))
        {
            return -Errno.EFAULT;
        }
        op.Status = GrantStatus.BadHandle;
        return Write(v, request, in op);
    }
}
