using System.Collections.Generic;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// The clusters of the file that hold the image's own tables. No guest cluster may lie in one: a damaged or
/// malicious image could otherwise let a guest write tables, or the name of a backing file.
/// </summary>
internal sealed class MetadataMap(IImageFile file, Geometry geometry)
{
    private readonly HashSet<ulong> _clusters = [0];

    public bool Contains(ulong cluster) => _clusters.Contains(cluster);

    /// <summary>A table occupies clusters that no other table may occupy.</summary>
    /// <exception cref="DiskException">one does</exception>
    public void Add(ClusterRange range)
    {
        for (ulong i = 0; i < range.Count; i++)
        {
            if (!_clusters.Add(range.First + i))
            {
                throw Damage.In(file, $"two tables lie in cluster {range.First + i:x}h");
            }
        }
    }

    public void Add(ulong cluster) => Add(new ClusterRange(cluster, 1));

    /// <summary>A table of so many bytes.</summary>
    public void Add(ulong offset, ulong bytes) =>
        Add(new ClusterRange(geometry.ClusterOf(offset), geometry.ClustersFor(bytes)));

    public void Remove(ClusterRange range)
    {
        for (ulong i = 0; i < range.Count; i++)
        {
            _clusters.Remove(range.First + i);
        }
    }
}
