using System;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// The parts of an open image that belong together. All of them but the file are used under
/// <see cref="Lock"/>.
/// </summary>
internal sealed class Qcow2Image
{
    /// <summary>A Monitor, because requests wait for each other on it.</summary>
    public object Lock { get; } = new();

    public IImageFile File { get; }

    public Qcow2Header Header { get; }

    public Geometry Geometry => Header.Geometry;

    public ClusterMap Map { get; }

    public FreedClusters Freed { get; } = new();

    public Epochs Epochs { get; } = new();

    /// <summary>Of an image that is open for writing.</summary>
    public Refcounts Refcounts => _refcounts ?? throw new InvalidOperationException("the image is read only");

    public FileEnd End => _end ?? throw new InvalidOperationException("the image is read only");

    /// <summary>No cluster of the file begins here or behind.</summary>
    public ulong UsedBytes => _end?.UsedBytes ?? _fileBytes;

    /// <summary>Size or place of the disk's tables changed: the header says so once they are there.</summary>
    public bool HeaderIsDirty { get; set; }

    private readonly Refcounts? _refcounts;
    private readonly FileEnd? _end;
    private readonly ulong _fileBytes;
    private DiskException? _damage;

    /// <summary>Reads the tables of an image whose reference counts are right.</summary>
    public Qcow2Image(IImageFile file, Qcow2Header header)
    {
        (File, Header) = (file, header);
        _fileBytes = file.Length;
        if (file.IsReadOnly)
        {
            Map = new ClusterMap(file, header, null);
            return;
        }
        MetadataMap metadata = new(file, Geometry);
        metadata.Add(header.L1Offset, header.L1Size * 8UL);
        metadata.Add(header.RefcountTableOffset, Geometry.OffsetOf(header.RefcountTableClusters));
        SnapshotTable snapshots = new(file, header);
        metadata.Add(header.SnapshotsOffset, snapshots.TableBytes);
        foreach ((ulong offset, uint entries) in snapshots.L1Tables)
        {
            metadata.Add(offset, entries * 8UL);
        }
        _end = new FileEnd(file, Geometry);
        _refcounts = new Refcounts(file, header, metadata, _end);
        Map = new ClusterMap(file, header, metadata);
    }

    /// <summary>Refuses to change an image that was found damaged.</summary>
    public void ThrowIfDamaged()
    {
        if (_damage is { } damage)
        {
            throw damage;
        }
    }

    /// <summary>
    /// The image contradicts itself: from now on nothing is written to it, and it says so to whoever opens
    /// it.
    /// </summary>
    public void NoteDamage(DiskException damage)
    {
        lock (Lock)
        {
            if (_damage != null)
            {
                return;
            }
            _damage = damage;
            Header.IsCorrupt = true;
            try
            {
                WriteFeatures();
            }
            catch (DiskException)
            {
                // The host fails too; what was found stays known in here.
            }
        }
    }

    /// <summary>Writes the feature bits of the header at once.</summary>
    public void WriteFeatures()
    {
        if (Header.Version >= 3)
        {
            File.Write(Qcow2Header.IncompatibleAt,
                Header.Copy(Qcow2Header.IncompatibleAt, Qcow2Header.AutoclearAt + 8));
            File.Sync();
        }
    }
}
