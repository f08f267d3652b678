using System;
using System.IO;

namespace Ryokan.Storage.Tests.Qcow2;

/// <summary>Images as QEMU's tools make them, each with a name that a test case can carry.</summary>
internal static class ImageKind
{
    public static readonly string[] Names =
    [
        "plain", "ours", "v2", "lazy", "cluster512", "cluster2M", "refcount1", "refcount2", "refcount4", "refcount8",
        "refcount32", "refcount64", "metadata", "full", "backing-raw", "backing-short", "backing-v2", "backing-chain",
        "snapshot", "snapshot-v2", "deflate", "zstd", "zeroes", "reserved-zeroes",
    ];

    /// <summary>Makes an image of that kind.</summary>
    /// <returns>what its disk holds</returns>
    public static byte[] Make(string name, TempFolder folder, string image, int bytes)
    {
        byte[] contents = new byte[bytes];
        string size = bytes.ToString(System.Globalization.CultureInfo.InvariantCulture);
        switch (name)
        {
            case "ours":
                DiskImages.Create(image, DiskFormat.Qcow2, (ulong)bytes);
                return contents;
            case "backing-raw" or "backing-v2":
                RandomFile(folder["base.img"], contents);
                Create(image, name == "backing-v2" ? "compat=0.10" : "compat=1.1",
                    "-b", folder["base.img"], "-F", "raw", size);
                return contents;
            case "backing-short":
                RandomFile(folder["base.img"], contents.AsSpan(0, bytes / 3 / 512 * 512));
                Create(image, "compat=1.1", "-b", folder["base.img"], "-F", "raw", size);
                return contents;
            case "backing-chain":
                RandomFile(folder["base.img"], contents);
                Create(folder["middle.qcow2"], "cluster_size=4096", "-b", "base.img", "-F", "raw");
                QemuImg.Io(folder["middle.qcow2"], "qcow2", "write -P 7 100k 300k", "write -z 1M 200k");
                contents.AsSpan(100 << 10, 300 << 10).Fill(7);
                contents.AsSpan(1 << 20, 200 << 10).Clear();
                Create(image, "cluster_size=65536", "-b", "middle.qcow2", "-F", "qcow2");
                return contents;
            case "deflate" or "zstd":
                for (int i = 0; i < bytes; i++)
                {
                    contents[i] = (byte)(i / 1000 * (i % 7));
                }
                File.WriteAllBytes(folder["base.img"], contents);
                QemuImg.Run("convert", "-c", "-O", "qcow2", "-o",
                    name == "zstd" ? "compression_type=zstd" : "compression_type=zlib",
                    "-f", "raw", folder["base.img"], image);
                return contents;
            default:
                Create(image, Options(name), size);
                Prepare(name, image, contents);
                return contents;
        }
    }

    private static string Options(string name) => name switch
    {
        "v2" or "snapshot-v2" => "compat=0.10",
        "lazy" => "lazy_refcounts=on",
        "cluster512" => "cluster_size=512",
        "cluster2M" => "cluster_size=2M",
        "metadata" => "preallocation=metadata",
        "full" => "preallocation=full",
        _ when name.StartsWith("refcount", StringComparison.Ordinal) =>
            $"cluster_size=4096,refcount_bits={name["refcount".Length..]}",
        _ => "compat=1.1",
    };

    private static void Prepare(string name, string image, byte[] contents)
    {
        switch (name)
        {
            case "snapshot" or "snapshot-v2":
                QemuImg.Io(image, "qcow2", "write -P 5 0 2M");
                QemuImg.Run("snapshot", "-c", "first", image);
                QemuImg.Io(image, "qcow2", "write -P 6 1M 2M");
                QemuImg.Run("snapshot", "-c", "second", image);
                contents.AsSpan(0, 1 << 20).Fill(5);
                contents.AsSpan(1 << 20, 2 << 20).Fill(6);
                break;
            case "zeroes":
                QemuImg.Io(image, "qcow2", "write -P 5 0 2M", "write -z -u 256k 1M");
                contents.AsSpan(0, 2 << 20).Fill(5);
                contents.AsSpan(256 << 10, 1 << 20).Clear();
                break;
            case "reserved-zeroes":
                QemuImg.Io(image, "qcow2", "write -P 5 0 2M", "write -z 256k 1M");
                contents.AsSpan(0, 2 << 20).Fill(5);
                contents.AsSpan(256 << 10, 1 << 20).Clear();
                break;
            default:
                break;
        }
    }

    private static void Create(string image, string options, params string[] more) =>
        QemuImg.Run(["create", "-q", "-f", "qcow2", "-o", options, .. Reorder(image, more)]);

    /// <summary>The size, when there is one, stands behind the name.</summary>
    private static string[] Reorder(string image, string[] more) =>
        more.Length % 2 == 1 ? [.. more[..^1], image, more[^1]] : [.. more, image];

    private static void RandomFile(string path, Span<byte> contents)
    {
        new Random(contents.Length).NextBytes(contents);
        File.WriteAllBytes(path, contents);
    }
}
