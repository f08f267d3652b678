using System;
using System.IO;
using Ryokan.Storage.Qcow2;
using Xunit;

namespace Ryokan.Storage.Tests.Qcow2;

/// <summary>The host has no room at random moments; whoever tries again later loses nothing.</summary>
public sealed class FullHostTests : IDisposable
{
    private const int DiskBytes = 4 << 20;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("plain", 1)]
    [InlineData("cluster512", 2)]
    [InlineData("refcount64", 3)]
    [InlineData("backing-raw", 4)]
    [InlineData("snapshot", 5)]
    public void WhatFailedIsTriedAgain(string kind, int seed)
    {
        Random random = new(seed);
        string image = _folder["disk.qcow2"];
        byte[] model = ImageKind.Make(kind, _folder, image, DiskBytes);
        RecordingFile file = new(image, File.ReadAllBytes(image));
        file.IsFull = () => random.Next(6) == 0;
        int refused = 0;
        using (IDisk disk = Qcow2Opener.Open(file))
        {
            for (int i = 0; i < 200; i++)
            {
                byte[] data = new byte[random.Next(1, 100_000)];
                random.NextBytes(data);
                int offset = random.Next(DiskBytes - data.Length);
                refused += Insist(() => disk.Write((ulong)offset, data));
                data.CopyTo(model, offset);
                if (i % 5 == 0)
                {
                    refused += Insist(disk.Flush);
                }
            }
            refused += Insist(disk.Flush);
            byte[] all = new byte[DiskBytes];
            disk.Read(0, all);
            Assert.True(model.AsSpan().SequenceEqual(all));
            file.IsFull = () => false;
        }
        Assert.InRange(refused, 20, int.MaxValue);
        File.WriteAllBytes(image, file.Contents);
        QemuImg.Check(image);
        QemuImg.Compare(image, model);
    }

    /// <summary>Tries until it works; says how often it did not.</summary>
    private static int Insist(Action action)
    {
        for (int refused = 0; ; refused++)
        {
            try
            {
                action();
                return refused;
            }
            catch (DiskException e) when (e.IsNoSpace)
            {
                Assert.True(refused < 10_000);
            }
        }
    }
}
