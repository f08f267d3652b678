using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// Where the file ends, and from where on it was never written. The file is made longer some clusters ahead,
/// so that
/// allocation seldom waits for the host; <see cref="Trim"/> takes that back. Used under the image's lock.
/// </summary>
internal sealed class FileEnd
{
    private const ulong StepBytes = 4 << 20;

    private readonly IImageFile _file;
    private readonly Geometry _geometry;
    private readonly bool _canGrow;
    private ulong _length;

    public FileEnd(IImageFile file, Geometry geometry)
    {
        (_file, _geometry, _length, _canGrow) = (file, geometry, file.Length, file.CanGrow);
        // A block device has a history.
        FreshFrom = _canGrow ? geometry.ClustersFor(_length) : ulong.MaxValue;
        UsedBytes = ulong.Min(_length, Limits.FileBytes);
    }

    /// <summary>Clusters from here on were never written: they read as zeroes.</summary>
    public ulong FreshFrom { get; private set; }

    /// <summary>No cluster in use begins here or behind.</summary>
    public ulong UsedBytes { get; private set; }

    /// <summary>Clusters below <paramref name="cluster"/> are about to be used.</summary>
    public void Reach(ulong cluster)
    {
        if (cluster > Limits.FileBytes >> _geometry.ClusterBits)
        {
            throw Full();
        }
        ulong end = _geometry.OffsetOf(cluster);
        if (end > _length)
        {
            if (!_canGrow)
            {
                throw Full();
            }
            ulong longer = (end + StepBytes - 1) & ~(StepBytes - 1);
            _file.SetLength(longer);
            _length = longer;
        }
        UsedBytes = ulong.Max(UsedBytes, end);
        if (_canGrow)
        {
            FreshFrom = ulong.Max(FreshFrom, cluster);
        }
    }

    private DiskException Full() =>
        DiskException.Because(_file.Path, "the image has no room on its device", DiskException.Enospc);

    /// <summary>Cuts off what was added ahead.</summary>
    public void Trim()
    {
        if (_canGrow && UsedBytes < _length)
        {
            _file.SetLength(UsedBytes);
            _length = UsedBytes;
        }
    }
}
