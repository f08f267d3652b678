namespace Ryokan.Xen.Abi;

/// <summary>Error numbers; hypercalls return them negated (errno.h).</summary>
public static class Errno
{
    [CName("XEN_EPERM")] public const int EPERM = 1;
    [CName("XEN_ENOENT")] public const int ENOENT = 2;
    [CName("XEN_ESRCH")] public const int ESRCH = 3;
    [CName("XEN_EIO")] public const int EIO = 5;
    [CName("XEN_ENXIO")] public const int ENXIO = 6;
    [CName("XEN_E2BIG")] public const int E2BIG = 7;
    [CName("XEN_ENOEXEC")] public const int ENOEXEC = 8;
    [CName("XEN_EBADF")] public const int EBADF = 9;
    [CName("XEN_ECHILD")] public const int ECHILD = 10;
    [CName("XEN_EAGAIN")] public const int EAGAIN = 11;
    [CName("XEN_EWOULDBLOCK")] public const int EWOULDBLOCK = 11;
    [CName("XEN_ENOMEM")] public const int ENOMEM = 12;
    [CName("XEN_EACCES")] public const int EACCES = 13;
    [CName("XEN_EFAULT")] public const int EFAULT = 14;
    [CName("XEN_EBUSY")] public const int EBUSY = 16;
    [CName("XEN_EEXIST")] public const int EEXIST = 17;
    [CName("XEN_EXDEV")] public const int EXDEV = 18;
    [CName("XEN_ENODEV")] public const int ENODEV = 19;
    [CName("XEN_ENOTDIR")] public const int ENOTDIR = 20;
    [CName("XEN_EISDIR")] public const int EISDIR = 21;
    [CName("XEN_EINVAL")] public const int EINVAL = 22;
    [CName("XEN_ENFILE")] public const int ENFILE = 23;
    [CName("XEN_EMFILE")] public const int EMFILE = 24;
    [CName("XEN_ENOSPC")] public const int ENOSPC = 28;
    [CName("XEN_EROFS")] public const int EROFS = 30;
    [CName("XEN_EMLINK")] public const int EMLINK = 31;
    [CName("XEN_EDOM")] public const int EDOM = 33;
    [CName("XEN_ERANGE")] public const int ERANGE = 34;
    [CName("XEN_EDEADLK")] public const int EDEADLK = 35;
    [CName("XEN_EDEADLOCK")] public const int EDEADLOCK = 35;
    [CName("XEN_ENAMETOOLONG")] public const int ENAMETOOLONG = 36;
    [CName("XEN_ENOLCK")] public const int ENOLCK = 37;
    [CName("XEN_ENOSYS")] public const int ENOSYS = 38;
    [CName("XEN_ENOTEMPTY")] public const int ENOTEMPTY = 39;
    [CName("XEN_ENODATA")] public const int ENODATA = 61;
    [CName("XEN_ETIME")] public const int ETIME = 62;
    [CName("XEN_EBADMSG")] public const int EBADMSG = 74;
    [CName("XEN_EOVERFLOW")] public const int EOVERFLOW = 75;
    [CName("XEN_EILSEQ")] public const int EILSEQ = 84;
    [CName("XEN_ENOTSOCK")] public const int ENOTSOCK = 88;
    [CName("XEN_EMSGSIZE")] public const int EMSGSIZE = 90;
    [CName("XEN_EOPNOTSUPP")] public const int EOPNOTSUPP = 95;
    [CName("XEN_EADDRINUSE")] public const int EADDRINUSE = 98;
    [CName("XEN_EADDRNOTAVAIL")] public const int EADDRNOTAVAIL = 99;
    [CName("XEN_ENOBUFS")] public const int ENOBUFS = 105;
    [CName("XEN_EISCONN")] public const int EISCONN = 106;
    [CName("XEN_ENOTCONN")] public const int ENOTCONN = 107;
    [CName("XEN_ETIMEDOUT")] public const int ETIMEDOUT = 110;
    [CName("XEN_ECONNREFUSED")] public const int ECONNREFUSED = 111;
}
