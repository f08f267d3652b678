using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using System.Threading;
using Xunit;

namespace Ryokan.Host.Tests.Disks;

/// <summary>
/// The process of a domain is killed while its guest writes and flushes: every write that the guest saw flushed is
/// in the image. RYOKAN_KILLS says how often (each time with the image of the time before).
/// </summary>
public sealed partial class KilledDomainTests : IDisposable
{
    private const int BlockBytes = 4096, Blocks = 8192;
    private const string Name = "killed";

    private readonly HostUnderTest _host = new();

    public void Dispose() => _host.Dispose();

    private static int Kills => int.TryParse(Environment.GetEnvironmentVariable("RYOKAN_KILLS"), out int n) ? n : 3;

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public void Flushed_writes_survive(string format)
    {
        string image = DiskImage.Create(_host, "image", format, "64M");
        Random random = new(4711);
        for (int round = 0; round < Kills; round++)
        {
            ulong seed = (ulong)random.Next();
            ulong flushed = WriteUntilKilled(image, format, seed, random.Next(200, 2500));
            if (format == "qcow2")
            {
                // Clusters that nobody uses yet may be left; anything else is an error.
                DiskImage.RunWith([0, 3], "qemu-img", "check", "-q", "-f", "qcow2", image);
            }
            Verify(DiskImage.AsRaw(image, format), seed, flushed);
        }
    }

    /// <summary>Returns the number of the last write that the guest saw flushed.</summary>
    private ulong WriteUntilKilled(string image, string format, ulong seed, int milliseconds)
    {
        _host.Must("create", _host.Config(Name, "shell",
            $"ramdisk = \"{DiskTests.Ramdisk}\"", $"disk = [ '{image},{format},xvda,w' ]"));
        using GuestShell guest = new(_host, Name);
        guest.Send($"flushes /dev/xvda {Blocks} {seed}");
        guest.Await(FlushedPattern());
        Thread.Sleep(milliseconds);
        int process = int.Parse(ProcessPattern().Match(_host.Must("list", "-l", Name)).Groups[1].Value,
            CultureInfo.InvariantCulture);
        using (Process domain = Process.GetProcessById(process))
        {
            domain.Kill();
            domain.WaitForExit();
        }
        HostUnderTest.Await("the domain to be gone", () => _host.List().Count == 0);
        string log = _host.ConsoleLog(Name);
        File.Delete(Path.Combine(_host.State, $"guest-{Name}.log"));
        MatchCollection all = FlushedPattern().Matches(log);
        return ulong.Parse(all[^1].Groups[1].Value, CultureInfo.InvariantCulture);
    }

    /// <summary>As tests/Guests/programs/flushes.c: which block each write goes to.</summary>
    private static void Verify(string raw, ulong seed, ulong flushed)
    {
        Assert.True(flushed > 0);
        ulong state = seed;
        ulong Next()
        {
            state = state * 6364136223846793005UL + 1442695040888963407UL;
            return state >> 32;
        }
        Dictionary<ulong, ulong> last = [];
        for (ulong n = 1; n <= flushed; n++)
        {
            last[Next() % Blocks] = n;
            Next();
        }
        using FileStream file = File.OpenRead(raw);
        ulong[] words = new ulong[BlockBytes / 8];
        foreach ((ulong block, ulong n) in last)
        {
            file.Position = (long)block * BlockBytes;
            file.ReadExactly(MemoryMarshal.AsBytes(words.AsSpan()));
            // A later write to the same block may be there too, whole or in part.
            Assert.All(words, w => Assert.InRange(w, n, flushed + 100_000));
        }
    }

    [GeneratedRegex("FLUSHED ([0-9]+)\r?\n")]
    private static partial Regex FlushedPattern();

    [GeneratedRegex("\"processId\":([0-9]+)")]
    private static partial Regex ProcessPattern();
}
