using Ryokan.Hypervisor.Vcpus;
using Ryokan.Xen.Abi;

namespace Ryokan.Hypervisor.Hypercalls;

/// <summary>physdev_op (physdev.h): only what a guest without devices needs.</summary>
internal static class PhysdevCalls
{
    private const uint MaxIopl = 3;
    private const uint MaxPorts = 65536;

    public static long PhysdevOp(Vcpu v, ulong command, ulong argument)
    {
        switch (command)
        {
            case Xen.Abi.PhysdevOp.SetIopl:
                if (!v.TryCopyIn(argument, out PhysdevSetIopl iopl))
                {
                    return -Errno.EFAULT;
                }
                if (iopl.Iopl > MaxIopl)
                {
                    return -Errno.EINVAL;
                }
                v.Iopl = iopl.Iopl;
                return 0;
            case Xen.Abi.PhysdevOp.SetIobitmap:
                if (!v.TryCopyIn(argument, out PhysdevSetIobitmap map))
                {
                    return -Errno.EFAULT;
                }
                if (map.NrPorts > MaxPorts)
                {
                    return -Errno.EINVAL;
                }
                v.IoBitmap = map.Bitmap;
                v.IoBitmapPorts = map.NrPorts;
                return 0;
            case Xen.Abi.PhysdevOp.IrqStatusQuery or Xen.Abi.PhysdevOp.Eoi:
                return -Errno.EINVAL;
            case Xen.Abi.PhysdevOp.MapPirq or Xen.Abi.PhysdevOp.UnmapPirq or Xen.Abi.PhysdevOp.SetupGsi:
                return -Errno.EPERM;
            default:
                // Among them pirq_eoi_gmfn: without physical interrupts Linux does as well without it.
                return -Errno.ENOSYS;
        }
    }
}
