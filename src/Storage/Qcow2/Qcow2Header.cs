using System;
using System.Buffers.Binary;
using System.Text;
using Ryokan.Storage.Files;

namespace Ryokan.Storage.Qcow2;

/// <summary>
/// The header of an image, docs/interop/qcow2.txt "Header" of QEMU: read and checked once, then changed
/// field by
/// field. All fields that change lie in the first sector, so that each change is on disk whole or not at all.
/// </summary>
internal sealed class Qcow2Header
{
    public const uint Magic = 0x514649fb;
    public const int V2Bytes = 72, V3Bytes = 104;

    public const int SizeAt = 24, L1SizeAt = 36, L1OffsetAt = 40, RefcountTableAt = 48, IncompatibleAt = 72,
        AutoclearAt = 88;

    private const ulong Dirty = 1, Corrupt = 2, ExternalData = 4, CompressionTypeBit = 8, ExtendedL2 = 16;

    private const uint EndOfExtensions = 0, BackingFormatExtension = 0xe2792aca, FeatureNames = 0x6803f857;

    private readonly byte[] _bytes;
    private readonly int _length;
    private readonly string _path;

    public Geometry Geometry { get; }

    public int Version { get; }

    /// <summary>Name of the backing file as the image has it, or null.</summary>
    public string? BackingFile { get; }

    /// <summary>"raw", "qcow2" or null when the image does not say.</summary>
    public string? BackingFormat { get; private set; }

    /// <summary>0: deflate; 1: zstd.</summary>
    public byte CompressionType { get; }

    public uint SnapshotCount => U32(60);

    public ulong SnapshotsOffset => U64(64);

    public ulong Size { get => U64(SizeAt); set => Set64(SizeAt, value); }

    public uint L1Size { get => U32(L1SizeAt); set => Set32(L1SizeAt, value); }

    public ulong L1Offset { get => U64(L1OffsetAt); set => Set64(L1OffsetAt, value); }

    public ulong RefcountTableOffset { get => U64(RefcountTableAt); set => Set64(RefcountTableAt, value); }

    public uint RefcountTableClusters { get => U32(56); set => Set32(56, value); }

    public bool IsDirty { get => Has(Dirty); set => Put(Dirty, value); }

    public bool IsCorrupt { get => Has(Corrupt); set => Put(Corrupt, value); }

    public ulong AutoclearFeatures
    {
        get => Version >= 3 ? U64(AutoclearAt) : 0;
        set => Set64(AutoclearAt, value);
    }

    /// <summary>The bytes of some fields, as they are to be on disk.</summary>
    public byte[] Copy(int from, int to) => _bytes[from..to];

    /// <summary>Reads and checks the header.</summary>
    /// <exception cref="DiskException">it is no qcow2 image, is damaged, or needs what we do not
    /// have</exception>
    public Qcow2Header(IImageFile file)
    {
        _path = file.Path;
        _bytes = new byte[V3Bytes + 8];
        file.Read(0, _bytes);
        if (U32(0) != Magic)
        {
            throw Wrong("is not a qcow2 image");
        }
        Version = (int)Math.Min(U32(4), int.MaxValue);
        if (Version is not (2 or 3))
        {
            throw DiskException.Because(
                _path, $"is a qcow2 image of version {U32(4)}; known are 2 and 3", DiskException.Enotsup);
        }
        uint clusterBits = U32(20), order = Version == 2 ? 4 : U32(96);
        uint length = Version == 2 ? V2Bytes : U32(100);
        Need(clusterBits is >= Geometry.MinClusterBits and <= Geometry.MaxClusterBits,
            $"clusters of 2^{clusterBits} bytes; possible are 2^9 to 2^21");
        Need(order <= Geometry.MaxRefcountOrder, $"reference counts of 2^{order} bits; the most is 2^6");
        Geometry = new Geometry((int)clusterBits, (int)order);
        Need(Version == 2 || length >= V3Bytes && length % 8 == 0 && length <= Geometry.ClusterBytes,
            $"a header of {length} bytes");
        _length = (int)length;
        byte[] cluster = new byte[Geometry.ClusterBytes];
        file.Read(0, cluster);
        ReadExtensions(cluster, refuse: Version >= 3 ? U64(IncompatibleAt) : 0);
        CompressionType = Version >= 3 && _length > V3Bytes ? _bytes[V3Bytes] : (byte)0;
        Need(Has(CompressionTypeBit) == (CompressionType != 0),
            "the compression type and its feature bit disagree");
        if (CompressionType > 1)
        {
            throw DiskException.Because(_path, $"compression type {CompressionType} is not known",
                DiskException.Enotsup);
        }
        BackingFile = ReadBackingName(cluster);
        CheckTables();
    }

    private void CheckTables()
    {
        if (U32(32) is var method and not 0)
        {
            throw DiskException.Because(
                _path, $"is encrypted (method {method}): not supported", DiskException.Enotsup);
        }
        Need(Size <= Limits.DiskBytes, $"a disk of {Size} bytes");
        CheckTable("the L1 table", L1Offset, L1Size * 8UL, Limits.L1Bytes);
        Need(L1Size >= Geometry.L1EntriesFor(Size),
            $"an L1 table of {L1Size} entries, too small for a disk of {Size} bytes");
        CheckTable("the refcount table", RefcountTableOffset,
            (ulong)RefcountTableClusters << Geometry.ClusterBits, Limits.RefcountTableBytes);
        Need(RefcountTableClusters > 0, "no refcount table");
        Need(SnapshotCount <= Limits.Snapshots, $"{SnapshotCount} snapshots");
        CheckTable("the snapshot table", SnapshotCount == 0 ? 0 : SnapshotsOffset, 0, ulong.MaxValue);
    }

    private void CheckTable(string what, ulong offset, ulong bytes, ulong most)
    {
        Need(Geometry.OffsetInCluster(offset) == 0, $"{what} is not on a cluster boundary: {offset:x}h");
        Need(bytes <= most, $"{what} has {bytes} bytes; the most is {most}");
        Need(offset <= Limits.FileBytes && (bytes == 0 || offset != 0), $"{what} is at {offset:x}h");
    }

    private string? ReadBackingName(ReadOnlySpan<byte> cluster)
    {
        ulong offset = U64(8);
        uint length = U32(16);
        if (offset == 0 || length == 0)
        {
            return null;
        }
        Need(length <= Limits.BackingNameBytes && offset <= (ulong)cluster.Length
            && length <= (ulong)cluster.Length - offset,
            "the backing file's name is outside the first cluster");
        ReadOnlySpan<byte> name = cluster.Slice((int)offset, (int)length);
        Need(!name.Contains((byte)0), "the backing file's name has a zero byte");
        return Encoding.UTF8.GetString(name);
    }

    /// <summary>Notes the backing format, and refuses incompatible features by the names that the image
    /// gives.</summary>
    private void ReadExtensions(ReadOnlySpan<byte> cluster, ulong refuse)
    {
        ReadOnlySpan<byte> names = default;
        ulong backingAt = U64(8);
        int end = backingAt != 0 && backingAt < (ulong)cluster.Length ? (int)backingAt : cluster.Length;
        for (int at = _length; at + 8 <= end;)
        {
            uint type = BinaryPrimitives.ReadUInt32BigEndian(cluster[at..]);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(cluster[(at + 4)..]);
            if (type == EndOfExtensions)
            {
                break;
            }
            Need(length <= (uint)(end - at - 8),
                $"header extension {type:x8}h is longer than the first cluster");
            ReadOnlySpan<byte> data = cluster.Slice(at + 8, (int)length);
            if (type == BackingFormatExtension)
            {
                BackingFormat = Encoding.UTF8.GetString(data);
            }
            else if (type == FeatureNames)
            {
                names = data;
            }
            at += 8 + (((int)length + 7) & ~7);
        }
        RefuseFeatures(refuse & ~(Dirty | Corrupt | CompressionTypeBit), names);
    }

    private void RefuseFeatures(ulong features, ReadOnlySpan<byte> names)
    {
        if (features == 0)
        {
            return;
        }
        int bit = System.Numerics.BitOperations.TrailingZeroCount(features);
        string name = (features & (0 - features)) switch
        {
            ExternalData => "data in an external file",
            ExtendedL2 => "extended L2 entries (subclusters)",
            _ => NameOf(bit, names) is { } given ? $"'{given}'" : "no name given",
        };
        throw DiskException.Because(
            _path, $"needs a qcow2 feature that is not supported: {name} (incompatible feature bit {bit})",
            DiskException.Enotsup);
    }

    /// <summary>Printable ASCII of the feature name table's entry: it may come from anybody.</summary>
    private static string? NameOf(int bit, ReadOnlySpan<byte> names)
    {
        const int EntryBytes = 48, Incompatible = 0;
        for (; names.Length >= EntryBytes; names = names[EntryBytes..])
        {
            if (names[0] == Incompatible && names[1] == bit)
            {
                StringBuilder name = new();
                foreach (byte c in names[2..EntryBytes])
                {
                    if (c == 0)
                    {
                        break;
                    }
                    name.Append(c is >= 0x20 and < 0x7f ? (char)c : '?');
                }
                return name.ToString();
            }
        }
        return null;
    }

    private bool Has(ulong feature) => Version >= 3 && (U64(IncompatibleAt) & feature) != 0;

    private void Put(ulong feature, bool on)
    {
        if (Version >= 3)
        {
            Set64(IncompatibleAt, on ? U64(IncompatibleAt) | feature : U64(IncompatibleAt) & ~feature);
        }
    }

    private uint U32(int at) => BinaryPrimitives.ReadUInt32BigEndian(_bytes.AsSpan(at));

    private ulong U64(int at) => BinaryPrimitives.ReadUInt64BigEndian(_bytes.AsSpan(at));

    private void Set32(int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(_bytes.AsSpan(at), value);

    private void Set64(int at, ulong value) =>
        BinaryPrimitives.WriteUInt64BigEndian(_bytes.AsSpan(at), value);

    private void Need(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw Wrong($"is a damaged qcow2 image: {otherwise}");
        }
    }

    private DiskException Wrong(string why) => DiskException.Because(_path, why);
}
