namespace Ryokan.XenStore;

/// <summary>
/// How an operation on the store failed. The names are those of the wire protocol's error replies
/// (xen/io/xs_wire.h, xsd_errors); the values have no meaning outside.
/// </summary>
public enum StoreError
{
    None,

    /// <summary>The request or a path is malformed.</summary>
    EINVAL,

    /// <summary>The connection may not do this to the node.</summary>
    EACCES,

    /// <summary>The same watch exists.</summary>
    EEXIST,

    /// <summary>No such node, watch, transaction.</summary>
    ENOENT,

    /// <summary>A quota of the domain is used up.</summary>
    ENOSPC,

    /// <summary>The operation is not served.</summary>
    ENOSYS,

    /// <summary>A transaction is open where none may be.</summary>
    EBUSY,

    /// <summary>A transaction met a conflicting change; start over.</summary>
    EAGAIN,

    /// <summary>The reply would not fit a message.</summary>
    E2BIG,

    /// <summary>Only a privileged connection may do this.</summary>
    EPERM,
}
