using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Ryokan.Host.Tests.Debian;
using Xunit;

namespace Ryokan.Host.Tests.Disks;

/// <summary>
/// The process of a domain is killed while its guest writes and flushes: every write that the guest saw flushed is
/// in the image, and so is every row that a database in the guest confirmed. RYOKAN_KILLS says how often (each time with
/// the image of the time before).
/// </summary>
[Collection(DebianCollection.Name)]
public sealed partial class KilledDomainTests(DebianImage debian) : IDisposable
{
    private const int BlockBytes = 4096, Blocks = 8192;
    private const int Writers = 3;
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
            AssertRows(committed, guest.Run("sh /jobs/rows check sqlite /dev/xvda"));
            if (round == Kills)
            {
                guest.Run("umount /mnt && e2fsck -f -n /dev/xvda");
                _host.Must("shutdown", "-w", Name);
                break;
            }
            guest.Send("sh /jobs/rows write sqlite /dev/xvda");
            guest.Await(CommittedPattern());
            Thread.Sleep(random.Next(200, 2500));
            committed = Last(CommittedPattern(), Kill());
            CheckImage(image, format);
        }
        Assert.True(committed > 0);
        CheckImage(image, format);
    }

    /// <summary>
    /// Debian's own PostgreSQL on the root disk of a Debian, with several connections; each confirmation counts when
    /// it came to this side of an ssh connection.
    /// </summary>
    [SlowTheory]
    [InlineData("raw")]
    [InlineData("qcow2")]
    public async Task Rows_that_PostgreSQL_committed_survive(string format)
    {
        string image = debian.Disk(_host, format);
        Random random = new(1996 + format.Length);
        ulong[] committed = new ulong[Writers];
        for (int round = 0; round <= Kills; round++)
        {
            DebianGuest guest = StartDebian(image, format);
            guest.Copy(RowsScript);
            for (int writer = 1; writer <= Writers; writer++)
            {
                AssertRows(committed[writer - 1], guest.Must($"sh rows check postgresql {writer}"));
            }
            Assert.DoesNotMatch("EXT4-fs (error|warning)|I/O error", guest.Must("dmesg"));
            if (round == Kills)
            {
                _host.Must("shutdown", "-w", Name);
                break;
            }
            ulong[] last = await CommitUntilKilled(guest, random.Next(200, 2500));
            Console.WriteLine($"{format}, round {round + 1}: confirmed to {string.Join(", ", last)}");
            committed = last;
            CheckImage(image, format);
            CheckFileSystem(image, format);
        }
        if (format == "qcow2")
        {
            // Not even clusters that nobody uses are left now.
            DiskImage.Check(image);
        }
    }

    private static string RowsScript => Path.Combine(HostUnderTest.Checkout, "tests/Guests/jobs/disk/rows");

    private DebianGuest StartDebian(string image, string format)
    {
        int port = UserNetworkTests.FreePort();
        return new DebianGuest(_host, debian, Name, $"{image},{format}",
            $"type=user,hostfwd=tcp:127.0.0.1:{port}-:22", "127.0.0.1", port);
    }

    /// <summary>Returns the last row of each writer that was confirmed before the domain's process was killed.</summary>
    private async Task<ulong[]> CommitUntilKilled(DebianGuest guest, int milliseconds)
    {
        Process[] writers = [.. Enumerable.Range(1, Writers).Select(w => guest.Start($"sh rows write postgresql {w}"))];
        try
        {
            TaskCompletionSource[] begun = [.. writers.Select(_ => new TaskCompletionSource())];
            Task<ulong>[] last = [.. writers.Select((w, i) => LastConfirmed(w.StandardOutput, begun[i]))];
            await Task.WhenAll(begun.Select(b => b.Task)).WaitAsync(TimeSpan.FromMinutes(1));
            await Task.Delay(milliseconds);
            Kill();
            // What is under way arrives; the connections end with the domain's passt.
            return await Task.WhenAll(last).WaitAsync(TimeSpan.FromMinutes(1));
        }
        finally
        {
            foreach (Process writer in writers)
            {
                writer.Kill();
                writer.Dispose();
            }
        }
    }

    private static async Task<ulong> LastConfirmed(StreamReader lines, TaskCompletionSource begun)
    {
        ulong last = 0;
        // A line that the kill cut off is no confirmation.
        StringBuilder text = new();
        char[] buffer = new char[4096];
        for (int n; (n = await lines.ReadAsync(buffer)) > 0;)
        {
            text.Append(buffer, 0, n);
            if (CommittedPattern().Matches(text.ToString()) is { Count: > 0 } matches)
            {
                last = ulong.Parse(matches[^1].Groups[1].Value, CultureInfo.InvariantCulture);
                text.Remove(0, matches[^1].Index + matches[^1].Length);
                begun.TrySetResult();
            }
        }
        return last;
    }

    /// <summary>The root file system recovers without a question, and is whole then. The guest's is left as it is.</summary>
    private void CheckFileSystem(string image, string format)
    {
        const int PartitionOffset = 1 << 20;
        string copy = image + ".copy";
        File.Delete(copy);
        DiskImage.Run("qemu-img", "convert", "-O", "raw", "--image-opts",
            $"driver=raw,offset={PartitionOffset},file.driver={format},file.file.filename={image}", copy);
        DiskImage.RunWith([0, 1], "e2fsck", "-p", copy);
        DiskImage.Run("e2fsck", "-f", "-n", copy);
        File.Delete(copy);
    }

    private static void AssertRows(ulong committed, string found)
    {
        ulong rows = ulong.Parse(RowsPattern().Match(found).Groups[1].Value, CultureInfo.InvariantCulture);
        // Rows whose confirmation did not get as far as this side may be there too.
        Assert.True(rows >= committed, $"{committed} rows were confirmed, {rows} are there");
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
