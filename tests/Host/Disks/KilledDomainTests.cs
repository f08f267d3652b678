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
/// in the image, and so is every row that a database in the guest confirmed. RYOKAN_KILLS says how often (each time with
/// the image of the time before).
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
            CheckImage(image, format);
            Verify(DiskImage.AsRaw(image, format), seed, flushed);
        }
    }

    [Theory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public void Committed_rows_survive(string format)
    {
        string image = DiskImage.Create(_host, "image", format, "256M");
        Random random = new(815);
        ulong committed = 0;
        for (int round = 0; round <= Kills; round++)
        {
            using GuestShell guest = Start(image, format);
            string found = guest.Run("sh /jobs/rows check /dev/xvda");
            ulong rows = ulong.Parse(RowsPattern().Match(found).Groups[1].Value, CultureInfo.InvariantCulture);
            // Rows whose confirmation did not get as far as the console may be there too.
            Assert.True(rows >= committed, $"{committed} rows were confirmed, {rows} are there");
            if (round == Kills)
            {
                guest.Run("umount /mnt && e2fsck -f -n /dev/xvda");
                _host.Must("shutdown", "-w", Name);
                break;
            }
            guest.Send("sh /jobs/rows write /dev/xvda");
            guest.Await(CommittedPattern());
            Thread.Sleep(random.Next(200, 2500));
            committed = Last(CommittedPattern(), Kill());
            CheckImage(image, format);
        }
        Assert.True(committed > 0);
        CheckImage(image, format);
    }

    private static void CheckImage(string image, string format)
    {
        if (format == "qcow2")
        {
            // Clusters that nobody uses yet may be left; anything else is an error.
            DiskImage.RunWith([0, 3], "qemu-img", "check", "-q", "-f", "qcow2", image);
        }
    }

    private GuestShell Start(string image, string format)
    {
        _host.Must("create", _host.Config(Name, "shell",
            $"ramdisk = \"{DiskTests.Ramdisk}\"", $"disk = [ '{image},{format},xvda,w' ]"));
        return new GuestShell(_host, Name);
    }

    /// <summary>Returns the number of the last write that the guest saw flushed.</summary>
    private ulong WriteUntilKilled(string image, string format, ulong seed, int milliseconds)
    {
        using GuestShell guest = Start(image, format);
        guest.Send($"flushes /dev/xvda {Blocks} {seed}");
        guest.Await(FlushedPattern());
        Thread.Sleep(milliseconds);
        return Last(FlushedPattern(), Kill());
    }

    /// <summary>Ends the domain's process; what was on the console, whose log is gone then too.</summary>
    private string Kill()
    {
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
        return log;
    }

    private static ulong Last(Regex pattern, string log) =>
        ulong.Parse(pattern.Matches(log)[^1].Groups[1].Value, CultureInfo.InvariantCulture);

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

    [GeneratedRegex("COMMITTED ([0-9]+)\r?\n")]
    private static partial Regex CommittedPattern();

    [GeneratedRegex("ROWS ([0-9]+)")]
    private static partial Regex RowsPattern();

    [GeneratedRegex("\"processId\":([0-9]+)")]
    private static partial Regex ProcessPattern();
}
