using System;
using System.Collections.Generic;
using System.Linq;
using Xunit;

namespace Ryokan.Storage.Tests.Qcow2;

/// <summary>
/// Random operations on images of every kind, beside a byte array that they are done to as well. QEMU's
/// tools say
/// whether the image is clean and holds the same.
/// </summary>
public sealed class RandomOperationTests : IDisposable
{
    private const int DiskBytes = 6 << 20;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static IEnumerable<object[]> Kinds => ImageKind.Names.SelectMany(
        name => new[] { 1, 2 }.Select(seed => new object[] { name, seed }));

    [Theory]
    [MemberData(nameof(Kinds))]
    public void ImageAndModelAgree(string kind, int seed)
    {
        string image = _folder["disk.qcow2"];
        byte[] model = ImageKind.Make(kind, _folder, image, DiskBytes);
        Random random = new(seed);
        for (int session = 0; session < 3; session++)
        {
            using (IDisk disk = DiskImages.Open(image, DiskFormat.Qcow2, readOnly: false))
            {
                Assert.Equal((ulong)model.Length, disk.SizeBytes);
                for (int i = 0; i < 120; i++)
                {
                    Operate(disk, model, random);
                }
                if (session == 1 && kind != "snapshot-v2")
                {
                    int larger = model.Length + random.Next(1, 5000) * 512;
                    disk.Resize((ulong)larger);
                    Array.Resize(ref model, larger);
                }
                ReadAll(disk, model);
            }
            QemuImg.Check(image);
            QemuImg.Compare(image, model);
        }
        if (kind.StartsWith("snapshot", StringComparison.Ordinal))
        {
            QemuImg.Run("snapshot", "-a", "first", image);
            QemuImg.Compare(image, [.. Enumerable.Repeat((byte)5, 2 << 20), .. new byte[DiskBytes - (2 << 20)]]);
            QemuImg.Check(image);
        }
    }

    private static void Operate(IDisk disk, byte[] model, Random random)
    {
        int length = random.Next(4) switch
        {
            0 => random.Next(1, 4096),
            1 => 4096 * random.Next(1, 17),
            2 => random.Next(1, 300_000),
            _ => 512 * random.Next(1, 300),
        };
        int offset = random.Next(3) == 0
            ? random.Next((model.Length - length) / 4096) * 4096 : random.Next(model.Length - length + 1);
        Span<byte> place = model.AsSpan(offset, length);
        switch (random.Next(10))
        {
            case < 4:
                byte[] data = new byte[length];
                random.NextBytes(data);
                disk.Write((ulong)offset, data);
                data.CopyTo(place);
                break;
            case < 7:
                byte[] back = new byte[length];
                disk.Read((ulong)offset, back);
                Assert.True(place.SequenceEqual(back), $"read {length} at {offset}");
                break;
            case 7:
                disk.WriteZeroes((ulong)offset, (ulong)length);
                place.Clear();
                break;
            case 8:
                disk.Discard((ulong)offset, (ulong)length);
                AcceptDiscarded(disk, (ulong)offset, place);
                break;
            default:
                disk.Flush();
                break;
        }
    }

    /// <summary>Each byte is what it was or zero.</summary>
    private static void AcceptDiscarded(IDisk disk, ulong offset, Span<byte> place)
    {
        byte[] now = new byte[place.Length];
        disk.Read(offset, now);
        for (int i = 0; i < now.Length; i++)
        {
            Assert.True(now[i] == 0 || now[i] == place[i], $"byte {i} of what was discarded at {offset}");
        }
        now.CopyTo(place);
    }

    private static void ReadAll(IDisk disk, byte[] model)
    {
        byte[] all = new byte[model.Length];
        disk.Read(0, all);
        Assert.True(model.AsSpan().SequenceEqual(all));
    }
}
