using System;
using System.Linq;
using System.Threading.Tasks;
using Xunit;

namespace Ryokan.Storage.Tests.Qcow2;

/// <summary>Many threads on one image, on pieces of the same clusters.</summary>
public sealed class ConcurrencyTests : IDisposable
{
    private const int Threads = 6, Block = 4096, DiskBytes = 12 << 20, Rounds = 400;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("plain")]
    [InlineData("cluster512")]
    [InlineData("backing-chain")]
    [InlineData("snapshot")]
    [InlineData("deflate")]
    [InlineData("reserved-zeroes")]
    public async Task ThreadsDoNotDisturbEachOther(string kind)
    {
        string image = _folder["disk.qcow2"];
        byte[] model = ImageKind.Make(kind, _folder, image, DiskBytes);
        using (IDisk disk = DiskImages.Open(image, DiskFormat.Qcow2, readOnly: false))
        {
            await Task.WhenAll(Enumerable.Range(0, Threads).Select(t => Task.Run(() => Work(disk, model, t))));
            disk.Flush();
            byte[] all = new byte[DiskBytes];
            disk.Read(0, all);
            Assert.True(model.AsSpan().SequenceEqual(all));
        }
        QemuImg.Check(image);
        QemuImg.Compare(image, model);
    }

    /// <summary>Block n is the business of thread n % Threads alone.</summary>
    private static void Work(IDisk disk, byte[] model, int thread)
    {
        Random random = new(thread);
        byte[] data = new byte[Block], back = new byte[Block];
        for (int i = 0; i < Rounds; i++)
        {
            int block = random.Next(DiskBytes / Block / Threads) * Threads + thread;
            Span<byte> place = model.AsSpan(block * Block, Block);
            ulong offset = (ulong)block * Block;
            switch (random.Next(8))
            {
                case < 4:
                    random.NextBytes(data);
                    disk.Write(offset, data);
                    data.CopyTo(place);
                    break;
                case 4:
                    disk.WriteZeroes(offset, Block);
                    place.Clear();
                    break;
                case 5 when random.Next(8) == 0:
                    disk.Flush();
                    break;
                default:
                    disk.Read(offset, back);
                    Assert.True(place.SequenceEqual(back));
                    break;
            }
        }
    }
}
